/**
 * Addresses of machines: ranges of them, and a lookup that judges what a name leads to, at the moment of connecting
 * (DNS answers change, and whoever owns a name may change them on purpose).
 */
import { lookup as resolve } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { Failure } from './failure.ts'

/** Of texts such as 10.0.0.0/8; a bare address is a range of one. Throws a Failure `config.invalid` that names the flag. */
export function ranges(texts: readonly string[], flag = ''): BlockList {
  const block = new BlockList()
  for (const text of texts) {
    const [address = '', bits] = text.split('/')
    const v6 = isIP(address) === 6
    try {
      block.addSubnet(address, bits === undefined ? (v6 ? 128 : 32) : Number(bits), v6 ? 'ipv6' : 'ipv4')
    } catch {
      throw new Failure('config.invalid', `${flag}: "${text}" is not an address range such as 10.0.0.0/8`)
    }
  }
  return block
}

/** False for what is no address at all, such as a name. */
export function within(block: BlockList, address: string): boolean {
  const bare = plain(address)
  const family = isIP(bare)
  return family !== 0 && block.check(bare, family === 6 ? 'ipv6' : 'ipv4')
}

const LOOPBACK = ranges(['127.0.0.0/8', '::1/128'])

/** An address by which nobody but this machine reaches this machine. */
export function isLoopback(address: string): boolean {
  return within(LOOPBACK, address)
}

/** The host of HOST:PORT, an IPv6 address without its brackets; undefined where it is not that. */
export function hostIn(text: string): string | undefined {
  const [, host, port] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text) ?? []
  return host === undefined || Number(port) > 65_535 ? undefined : host.replace(/^\[|\]$/g, '')
}

/** Is HOST:PORT of this machine, and of nobody else? */
export function isHere(text: string): boolean {
  const host = hostIn(text)
  return host === 'localhost' || (host !== undefined && isLoopback(host))
}

/** An IPv4 address that came in through an IPv6 socket, as it is usually written. */
export function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/** What a URL has between the slashes, an IPv6 address without its brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}

/** A `lookup` for sockets that fails where there is an objection to any of the addresses that a name resolves to. */
export function guarded(objection: (address: string) => Failure | undefined): typeof resolve {
  const lookup = (host: string, options: { all?: boolean }, done: (...args: any[]) => void): void => {
    resolve(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error)
      for (const { address } of found) {
        const failure = objection(address)
        if (failure !== undefined) return done(failure)
      }
      if (options.all) return done(null, found)
      return done(null, found[0]!.address, found[0]!.family)
    })
  }
  return lookup as unknown as typeof resolve
}
