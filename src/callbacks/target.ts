/**
 * Where somebody wants to be called, and which addresses that may be. Whoever may submit a job makes the house send
 * a POST, from inside its owner's network: so only addresses of the public internet may be called, and those that the
 * owner allows. A name is judged by what it resolves to at the moment of each call.
 */
import { type BlockList, isIP } from 'node:net'
import { Refusal } from '../../machines/entity.ts'
import { hostOf, ranges, within } from '../address.ts'

export interface Target {
  readonly url: string
  /** What the call is signed with; without one it is not. */
  readonly secret?: string
}

const URL_LENGTH_MAX = 2_048

/** What is not of the public internet: IANA's special-purpose registries for IPv4 and IPv6, as of 2025. */
const special = ranges([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10', // carriers' own, and Alibaba's metadata service
  '127.0.0.0/8',
  '169.254.0.0/16', // link-local, and the other clouds' metadata services
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3', // multicast, reserved, broadcast
  '2001::/23', // Teredo and other tunnels
  '2001:db8::/32',
  '2002::/16', // 6to4: an IPv4 address in disguise
  '3fff::/20',
])
/** All of IPv6 that is the internet's so far. Without mapped IPv4 addresses, which are better written as such. */
const unicast = ranges(['2000::/3'])

/** What localhost stands for (RFC 6761), whatever a resolver says. */
const LOCALHOST = /(^|\.)localhost\.?$/
const LOOPBACK = ['127.0.0.1', '::1']

export class Targets {
  readonly #allowed: BlockList

  /** `allowed`: ranges such as 10.0.0.0/8. Throws a Failure `config.invalid`. */
  constructor(allowed: readonly string[]) {
    this.#allowed = ranges(allowed, '--allow-callback')
  }

  /** As far as it can be judged without asking for a name. Throws a Refusal `callback.url` or `callback.address`. */
  check({ url: text }: Target): URL {
    if (text.length > URL_LENGTH_MAX) throw bad(`a callback's URL has at most ${URL_LENGTH_MAX} characters`)
    if (!URL.canParse(text)) throw bad("the callback's URL is not one; write it as https://HOST/PATH")
    const url = new URL(text)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw bad("the callback's URL is neither http nor https")
    }
    if (url.username !== '' || url.password !== '') {
      throw bad("the callback's URL must not hold a user or password; check the signature instead")
    }
    const host = hostOf(url)
    const addresses = LOCALHOST.test(host) ? LOOPBACK : [host]
    const objections = addresses.map(address => this.objection(address))
    if (objections.every(why => why !== undefined)) throw new Refusal('callback.address', objections[0]!)
    return url
  }

  /** Why this address may not be called. Names are no objection: they are judged when they are resolved. */
  objection(address: string): string | undefined {
    const family = isIP(address)
    if (family === 0 || within(this.#allowed, address)) return undefined
    const open = !within(special, address) && (family === 4 || within(unicast, address))
    if (open) return undefined
    const remedy = `if it may be called, start the house with --allow-callback ${address}/${family === 4 ? 32 : 128}`
    return `${address} is not an address of the public internet; ${remedy}`
  }
}

function bad(message: string): Refusal {
  return new Refusal('callback.url', message)
}
