/**
 * Which GPUs there may be, as the bus says: without a driver, without a tool, also in a container, where the bus is shown
 * and the device may not be used. Looking here costs nothing, so that no tool is run for a vendor that is not there.
 */
import { basename, join } from 'node:path'
import { names, type Roots, target, text, word } from './files.ts'

export const VENDORS = { '0x10de': 'nvidia', '0x1002': 'amd', '0x8086': 'intel' } as const

export type Vendor = (typeof VENDORS)[keyof typeof VENDORS]

export interface Card {
  /** `0000:01:00.0` */
  readonly address: string
  readonly vendor: Vendor
  /** `0x744c` */
  readonly device: string
  readonly revision: string
  readonly driver?: string
  /** What it is called in a shop; empty where no list of names is installed that has it. */
  readonly model: string
}

/** Display controllers, and processing accelerators: an Instinct is one of those. */
const CLASS = /^0x(?:03|12)/

export interface Bus {
  /** undefined where the bus cannot be listed. Cards that were handed to a virtual machine are not of this one. */
  cards(): Promise<readonly Card[] | undefined>
}

/** To look at a hundred devices takes some milliseconds, and to look into lists of names some more. */
const LOOK_MS = 60_000

export function openBus(roots: Roots, monotonic: () => number): Bus {
  const models = new Map<string, Promise<string>>()
  let looked: { readonly cards: ReturnType<Bus['cards']>; readonly at: number } | undefined
  const look = async (): ReturnType<Bus['cards']> => {
    const found = await cardsOf(roots)
    if (found === undefined) return undefined
    return await Promise.all(
      found.map(async card => {
        const key = `${card.vendor} ${card.device} ${card.revision}`
        if (!models.has(key)) models.set(key, marketName(roots, card))
        return { ...card, model: await models.get(key)! }
      }),
    )
  }
  return {
    cards() {
      if (looked === undefined || monotonic() - looked.at >= LOOK_MS)
        looked = { cards: look(), at: monotonic() }
      return looked.cards
    },
  }
}

type Unnamed = Omit<Card, 'model'>

async function cardsOf({ sys }: Roots): Promise<readonly Unnamed[] | undefined> {
  const base = join(sys, 'bus/pci/devices')
  const addresses = await names(base)
  if (addresses === undefined) return undefined
  const cards: Unnamed[] = []
  for (const address of addresses) {
    const dir = join(base, address)
    const vendor = VENDORS[(await word(join(dir, 'vendor'))) as keyof typeof VENDORS]
    if (vendor === undefined || !CLASS.test((await word(join(dir, 'class'))) ?? '')) continue
    const link = await target(join(dir, 'driver'))
    const driver = link === undefined ? undefined : basename(link)
    if (driver === 'vfio-pci') continue
    const [device = '', revision = ''] = await Promise.all(
      ['device', 'revision'].map(name => word(join(dir, name))),
    )
    cards.push({ address, vendor, device, revision, ...(driver === undefined ? {} : { driver }) })
  }
  return cards
}

/** Lists of names that distributions bring along. */
const PCI_IDS = ['usr/share/misc/pci.ids', 'usr/share/hwdata/pci.ids', 'usr/share/pci.ids'] as const
const AMDGPU_IDS = ['usr/share/libdrm/amdgpu.ids', 'opt/amdgpu/share/libdrm/amdgpu.ids'] as const

async function marketName({ root }: Roots, card: Unnamed): Promise<string> {
  if (card.vendor === 'amd') {
    for (const path of AMDGPU_IDS) {
      const name = amdName((await text(join(root, path))) ?? '', card.device, card.revision)
      if (name !== undefined) return name
    }
  }
  for (const path of PCI_IDS) {
    const name = pciName((await text(join(root, path))) ?? '', vendorId(card.vendor), card.device)
    if (name !== undefined) return name
  }
  return ''
}

/** amdgpu.ids: `744C,	C8,	AMD Radeon RX 7900 XTX` */
export function amdName(list: string, device: string, revision: string): string | undefined {
  const [id, rev] = [device, revision].map(code => code.replace(/^0x/, '').toUpperCase())
  const line = list.split('\n').find(line => {
    const [ofDevice, ofRevision] = line.split(',')
    return (
      ofDevice?.trim().toUpperCase() === id &&
      Number.parseInt(ofRevision ?? '', 16) === Number.parseInt(rev!, 16)
    )
  })
  return line?.split(',').slice(2).join(',').trim() || undefined
}

/** pci.ids: a vendor's line, and below it, with a tab, its devices. `Navi 31 [Radeon RX 7900 XTX]`: what is in brackets. */
export function pciName(list: string, vendor: string, device: string): string | undefined {
  const [ofVendor, ofDevice] = [vendor, device].map(code => code.replace(/^0x/, '').toLowerCase())
  const from = list.search(new RegExp(`^${ofVendor}  `, 'm'))
  if (from === -1) return undefined
  const devices = list.slice(from).split(/\n(?=[0-9a-fC])/, 1)[0]!
  const name = new RegExp(`^\\t${ofDevice}  (.+)$`, 'm').exec(devices)?.[1]?.trim()
  return /\[(.+)\]$/.exec(name ?? '')?.[1] ?? name
}

function vendorId(vendor: Vendor): string {
  return Object.entries(VENDORS).find(([, name]) => name === vendor)![0]
}
