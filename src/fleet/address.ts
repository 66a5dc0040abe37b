/**
 * Which addresses a node may have. A node's URL is where the house sends other people's prompts, so it is checked
 * when it is registered, and the address it resolves to again at each connection (DNS answers change).
 */
import { lookup as resolve } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { Failure } from '../failure.ts'

/** Link-local (the cloud's metadata services live there), multicast, broadcast, and "this network". */
const linkLocal = new BlockList()
linkLocal.addSubnet('169.254.0.0', 16, 'ipv4')
linkLocal.addSubnet('fe80::', 10, 'ipv6')

const never = new BlockList()
never.addSubnet('224.0.0.0', 4, 'ipv4')
never.addSubnet('240.0.0.0', 4, 'ipv4')
never.addSubnet('ff00::', 8, 'ipv6')

/** The URL in its plain form, without a trailing slash. Throws a Failure `node.url`. */
export function checkAddress(text: string, { linkLocal: allowed }: { linkLocal: boolean }): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw bad(`"${text}" is not a URL; write it as http://HOST:11434`)
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw bad(`"${text}" is neither http nor https`)
  if (url.username !== '' || url.password !== '') {
    throw bad('a node URL must not hold a user or password: it is written into the journal')
  }
  if (url.search !== '' || url.hash !== '') throw bad(`"${text}" must end with the host, the port or a path`)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (host === '') throw bad(`"${text}" names no host`)
  if (isIP(host) !== 0) refuse(host, allowed)
  return url.href.replace(/\/+$/, '')
}

/** A `lookup` for sockets that refuses the same addresses, whatever a name resolves to. */
export function guardedLookup(allowed: () => boolean): typeof resolve {
  const lookup = (host: string, options: object, done: (...args: any[]) => void): void => {
    resolve(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error)
      const list = found as unknown as { address: string; family: number }[]
      try {
        for (const { address } of list) refuse(address, allowed())
      } catch (refused) {
        return done(refused)
      }
      if ((options as { all?: boolean }).all) return done(null, list)
      return done(null, list[0]!.address, list[0]!.family)
    })
  }
  return lookup as unknown as typeof resolve
}

function refuse(address: string, allowed: boolean): void {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  if (never.check(address, family)) throw bad(`${address} is not an address of one machine`)
  if (!allowed && linkLocal.check(address, family)) {
    throw bad(`${address} is link-local; if a node really lives there, start the house with --link-local on`)
  }
}

function bad(message: string): Failure {
  return new Failure('node.url', message)
}
