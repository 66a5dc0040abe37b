/** Intel's GPUs, by what the drivers i915 and xe show in /sys: what they are, how warm, and what they may draw. */
import { join } from 'node:path'
import { names, type Roots, whole } from './files.ts'
import type { Found } from './gpus.ts'
import type { Card } from './pci.ts'
import { known } from './proc.ts'

/** Where the processor's own GPU is, on every board. */
const IN_PROCESSOR = /^0000:00:02\.\d$/

export async function readIntel(roots: Roots, cards: readonly Card[]): Promise<Found> {
  const read = await Promise.all(
    cards.map(async card => {
      const dir = join(roots.sys, 'bus/pci/devices', card.address)
      const cardName = (await names(join(dir, 'drm')))?.find(name => /^card\d+$/.test(name)) ?? '-'
      const hwmon = join(dir, 'hwmon')
      const sensor = join(hwmon, (await names(hwmon))?.[0] ?? '-')
      const [memory, temperature, limit] = await Promise.all([
        // Only the drivers of Intel's own kernels tell it.
        whole(join(dir, 'drm', cardName, 'lmem_total_bytes')),
        // i915 calls it temp1; xe has the package as temp2.
        whole(join(sensor, 'temp2_input')).then(found => found ?? whole(join(sensor, 'temp1_input'))),
        whole(join(sensor, 'power1_max')),
      ])
      const unified = IN_PROCESSOR.test(card.address)
      return {
        gpu: {
          id: card.address,
          vendor: 'intel',
          model: card.model,
          unified,
          driver: card.driver ?? '',
          ...known({ memoryBytes: unified ? undefined : memory }),
        },
        load: {
          id: card.address,
          ...known({
            temperatureC: temperature === undefined ? undefined : temperature / 1_000,
            powerLimitW: limit === undefined || limit === 0 ? undefined : limit / 1_000_000,
          }),
        },
      }
    }),
  )
  return { gpus: read.map(({ gpu }) => gpu), loads: read.map(({ load }) => load), known: true }
}
