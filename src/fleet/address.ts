/**
 * Which addresses a node may have. A node's URL is where the house sends other people's prompts, so it is checked
 * when it is registered, and the address it resolves to again at each connection (DNS answers change, and a journal
 * may be older than the rules).
 */
import { lookup as resolve } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { Failure } from '../failure.ts'

/** Link-local, where the clouds' metadata services live, and where else some of them do. */
const linkLocal = new BlockList()
linkLocal.addSubnet('169.254.0.0', 16, 'ipv4')
linkLocal.addSubnet('fe80::', 10, 'ipv6')
linkLocal.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6') // 169.254.0.0/16 through NAT64
linkLocal.addAddress('fd00:ec2::254', 'ipv6') // Amazon
linkLocal.addAddress('100.100.100.200', 'ipv4') // Alibaba

/** Multicast, reserved, broadcast: never one machine. */
const never = new BlockList()
never.addSubnet('224.0.0.0', 4, 'ipv4')
never.addSubnet('240.0.0.0', 4, 'ipv4')
never.addSubnet('ff00::', 8, 'ipv6')

const URL_LENGTH_MAX = 1_024

/** The URL in its plain form, without a trailing slash. Throws a Failure `node.url`. */
export function checkAddress(text: string, { linkLocal: allowed }: { linkLocal: boolean }): string {
  if (text.length > URL_LENGTH_MAX) throw bad(`a node URL has at most ${URL_LENGTH_MAX} characters`)
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw bad(`"${text}" is not a URL; write it as http://HOST:11434`)
  }
  if (url.username !== '' || url.password !== '') {
    throw bad('a node URL must not hold a user or password: it is written into the journal')
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw bad(`"${text}" is neither http nor https`)
  if (url.search !== '' || url.hash !== '') throw bad(`"${text}" must end with the host, the port or a path`)
  const why = objection(hostOf(url), allowed)
  if (why !== undefined) throw bad(why)
  return url.href.replace(/\/+$/, '')
}

/** What a URL has between the slashes, an IPv6 address without its brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}

/** Why a node may not be at this address; names are looked up later, see guardedLookup(). */
export function objection(host: string, linkLocalAllowed: boolean): string | undefined {
  if (isIP(host) === 0) return undefined
  const family = isIP(host) === 6 ? 'ipv6' : 'ipv4'
  if (never.check(host, family)) return `${host} is not an address of one machine`
  if (linkLocalAllowed || !linkLocal.check(host, family)) return undefined
  return `${host} is link-local; if a node really lives there, start the house with --link-local on`
}

/** A `lookup` for sockets that refuses the same addresses, whatever a name resolves to. */
export function guardedLookup(linkLocalAllowed: boolean): typeof resolve {
  const lookup = (host: string, options: { all?: boolean }, done: (...args: any[]) => void): void => {
    resolve(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error)
      for (const { address } of found) {
        const why = objection(address, linkLocalAllowed)
        if (why !== undefined) return done(bad(why))
      }
      if (options.all) return done(null, found)
      return done(null, found[0]!.address, found[0]!.family)
    })
  }
  return lookup as unknown as typeof resolve
}

function bad(message: string): Failure {
  return new Failure('node.url', message)
}
