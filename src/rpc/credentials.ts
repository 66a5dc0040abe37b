/**
 * How the two ends of a line know each other.
 *
 * With papers: TLS 1.3, and each shows a certificate that the house's authority has signed. Which machine answered, under
 * which name, proves nothing; whom its certificate names does. A node's certificate is never taken for the house's.
 *
 * Plaintext knows nobody: it is for one machine, and for trying things out.
 */
import { X509Certificate } from 'node:crypto'
import { connect, type PeerCertificate, type SecureContextOptions } from 'node:tls'
import {
  ChannelCredentials,
  type ChannelOptions,
  experimental,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerUnaryCall,
} from '@grpc/grpc-js'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { type Bearer, bearerOf, fingerprintOf } from '../pki/bearer.ts'
import type { Identity, Papers } from '../pki/papers.ts'
import { type Statuses, saidNo } from './errors.ts'

export type { ServerCredentials }

/** How to dial: the credentials, and what the channel must know for them. */
export interface Dialling {
  readonly credentials: ChannelCredentials
  readonly options: ChannelOptions
  /** Of the certificate with which the other side was let in last, where that was asked. */
  readonly serial?: () => string | undefined
}

/** Any call of grpc-js on a server, as far as it says who calls. */
export type Calling = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext' | 'getPeer'>

export const plaintext = {
  serving: (): ServerCredentials => ServerCredentials.createInsecure(),
  dialling: (): Dialling => ({ credentials: ChannelCredentials.createInsecure(), options: {} }),
}

/** Whoever the certificate of a call speaks for. */
export type Principal = Bearer & {
  readonly serial: string
  readonly fingerprint: string
  /** When the certificate ends, milliseconds since the epoch. */
  readonly until: number
}

/** May whoever this is come in? Throws a Refusal where not. Asked for each call, whatever it calls. */
export type Gate = (principal: Principal) => void

/** What a server is asked for in TLS, where addresses are not names. Nobody looks at it. */
const SERVER_NAME = 'quipu.internal'
const REACH_MS = 10_000
const JOIN = '/quipu.v1.House/Join'
/** Of what a gate says; docs/errors.md has them, too. */
const STATUSES: Statuses = {
  'agent.expired': 401,
  'agent.revoked': 403,
  'agent.outdated': 401,
  'agent.unknown': 401,
}
/** Lines keep asking who calls; a certificate is read once. */
const READ_MAX = 1_024

/** Where agents attach. All but joining needs a certificate that the gate lets in: who joins has none yet. */
export function agentsPort(papers: Papers, gate: Gate): ServerCredentials {
  return gated(new LiveServerCredentials(papers, false), gate, JOIN)
}

/** Where an agent listens. Only the house comes in: what one node's key opens is never another node. */
export function listeningAgent(papers: Papers): ServerCredentials {
  return gated(new LiveServerCredentials(papers, true), ({ role }) => {
    if (role !== 'house') throw new Refusal('agent.unknown', 'this agent takes orders from its house only')
  })
}

/** From an agent to its house. */
export function toHouse(papers: Papers): Dialling {
  return dialling(papers, house)
}

/** From the house to an agent that listens, if the gate lets it be called. */
export function toAgent(papers: Papers, node: string, gate: Gate): Dialling {
  let serial: string | undefined
  const check: Check = shown => {
    if (shown?.role !== 'node' || shown.node !== node) return not(`the node ${node}`, shown)
    try {
      gate(shown)
      serial = shown.serial
      return undefined
    } catch (error) {
      if (error instanceof Refusal) return error
      throw error
    }
  }
  return { ...dialling(papers, check), serial: () => serial }
}

/** To a house that is known by its authority only, by somebody who has nothing to show. */
export function toHouseOf(authority: string): Dialling {
  const secured = ChannelCredentials.createSsl(Buffer.from(authority), null, null, {
    checkServerIdentity: checking(house),
  })
  return { credentials: secured, options: { 'grpc.ssl_target_name_override': SERVER_NAME } }
}

/** Whom the caller's certificate speaks for; undefined where it showed none that the authority has signed, and in plaintext. */
export function principalOf(call: Calling): Principal | undefined {
  const shown = call.getAuthContext().sslPeerCertificate
  return shown === undefined ? undefined : principal(shown)
}

/**
 * The certificate (PEM) of the authority that whoever listens there shows, if it has this fingerprint. Nothing is told on
 * that line. Rejects with a Failure: `agent.unreachable`, `agent.stranger`.
 */
export function authorityAt(address: string, fingerprint: string, clock: Clock): Promise<string> {
  const { host, port } = hostAndPort(address)
  return new Promise((resolve, reject) => {
    const fail = (failure: Failure): void => {
      socket.destroy()
      timer.cancel()
      reject(failure)
    }
    const away = (why: string): Failure =>
      new Failure('agent.unreachable', `${address} could not be reached: ${why}`, { retryable: true })
    const timer = clock.after(REACH_MS, () => fail(away(`no answer within ${REACH_MS / 1_000} s`)))
    const socket = connect({
      host,
      port,
      servername: SERVER_NAME,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
      // Whom it believes is what is being asked for; the fingerprint decides, and nothing is said before.
      rejectUnauthorized: false,
    })
    socket.once('error', (error: Error) => fail(away(remedyOf(error.message) ?? error.message)))
    socket.once('secureConnect', () => {
      const authority = issuers(socket.getPeerCertificate(true)).find(
        ({ raw }) => fingerprintOf(raw) === fingerprint,
      )
      if (authority === undefined) {
        const said = `${address} is not the house that made this token: it shows another authority. Check --house; or, if the house has a new authority, ask for a new token`
        return fail(new Failure('agent.stranger', said))
      }
      timer.cancel()
      socket.destroy()
      resolve(new X509Certificate(authority.raw).toString())
    })
  })
}

/** What to do about a line that TLS did not let come up; undefined where it was something else. */
export function remedyOf(message: string): string | undefined {
  if (/not yet valid|NOT_YET_VALID/i.test(message)) {
    return "the certificate is not yet valid by this machine's clock: its clock and that of the house do not agree. Set them (ntp), and try again"
  }
  if (/has expired|CERT_HAS_EXPIRED/i.test(message)) {
    return "the certificate has expired by this machine's clock. If the clock is right, invite the node again: quipu pki invite NODE"
  }
  if (/wrong version number|packet length too long/i.test(message)) {
    return 'whoever answers there does not speak TLS. Is that the port that the house has for agents, `quipu serve --agents`?'
  }
  if (/self-signed certificate|unable to verify|signature failure|UNABLE_TO/i.test(message)) {
    return 'whoever answers there has a certificate of another authority: it is another house, or this one has a new authority and the node must be invited again'
  }
  return undefined
}

class LiveServerCredentials extends ServerCredentials {
  constructor(papers: Papers, certificateNeeded: boolean) {
    super(
      { requestCert: true, rejectUnauthorized: certificateNeeded, minVersion: 'TLSv1.3' },
      contextOf(papers.present),
    )
    papers.listen(identity => this.updateSecureContextOptions(contextOf(identity)))
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

/**
 * The gate stands before every method there is, health and reflection, too; what somebody adds later is behind it without
 * knowing. Who is let in goes on as if there were none.
 */
function gated(credentials: ServerCredentials, gate: Gate, open?: string): ServerCredentials {
  return experimental.createServerCredentialsWithInterceptors(credentials, [
    ({ path }, call) => {
      // The library's type asks for its own class; it uses the interface.
      const through = call as ServerInterceptingCall
      if (path === open) return through
      try {
        const caller = principalOf(call as unknown as Calling)
        if (caller === undefined)
          throw new Refusal('agent.unknown', 'only who shows a certificate of this house may call')
        gate(caller)
        return through
      } catch (error) {
        const no = saidNo(error, STATUSES)
        return new ServerInterceptingCall(call, { start: () => call.sendStatus(no) })
      }
    },
  ])
}

function contextOf({ key, certificate, authority }: Identity): SecureContextOptions {
  return { key, cert: certificate, ca: authority, minVersion: 'TLSv1.3' }
}

/** What is wrong with whoever answers. */
type Check = (shown: Principal | undefined) => Error | undefined

function dialling(papers: Papers, check: Check): Dialling {
  const provider = providerOf(papers)
  const secured = experimental.createCertificateProviderChannelCredentials(provider, provider, {
    checkServerIdentity: checking(check),
  })
  return { credentials: secured, options: { 'grpc.ssl_target_name_override': SERVER_NAME } }
}

/** In the place of a look at the host's name: by then TLS has verified who signed it, and when. */
function checking(check: Check) {
  return (_host: string, certificate: PeerCertificate): Error | undefined => check(principal(certificate))
}

const house: Check = shown => (shown?.role === 'house' ? undefined : not('this house', shown))

function not(whom: string, shown: Principal | undefined): Error {
  const who = shown === undefined ? 'nobody' : shown.role === 'house' ? 'the house' : `the node ${shown.node}`
  return new Error(`whoever answers is not ${whom}: the certificate speaks for ${who}`)
}

/** grpc-js asks for a provider; ours knows at once, and tells again when there is something new. */
function providerOf(papers: Papers): experimental.CertificateProvider {
  const stops = new Map<unknown, () => void>()
  const add = <Update>(listener: (update: Update) => void, update: (identity: Identity) => Update): void => {
    stops.set(
      listener,
      papers.listen(identity => listener(update(identity))),
    )
    listener(update(papers.present))
  }
  const remove = (listener: unknown): void => {
    stops.get(listener)?.()
    stops.delete(listener)
  }
  return {
    addCaCertificateListener: listener =>
      add(listener, ({ authority }) => ({ caCertificate: Buffer.from(authority) })),
    removeCaCertificateListener: remove,
    addIdentityCertificateListener: listener =>
      add(listener, ({ certificate, key }) => ({
        certificate: Buffer.from(certificate),
        privateKey: Buffer.from(key),
      })),
    removeIdentityCertificateListener: remove,
  }
}

const read = new Map<string, Principal | undefined>()

function principal({ raw }: PeerCertificate): Principal | undefined {
  const fingerprint = fingerprintOf(raw)
  if (read.has(fingerprint)) return read.get(fingerprint)
  const bearer = bearerOf(raw)
  const { serialNumber: serial, validToDate } = new X509Certificate(raw)
  const found =
    bearer === undefined ? undefined : { ...bearer, serial, fingerprint, until: validToDate.getTime() }
  if (read.size >= READ_MAX) read.clear()
  read.set(fingerprint, found)
  return found
}

/** Of a chain as it was shown, from the certificate up. A root is its own issuer. */
function issuers(certificate: PeerCertificate): PeerCertificate[] {
  const found: PeerCertificate[] = []
  let next = (certificate as Partial<{ issuerCertificate: PeerCertificate }>).issuerCertificate
  while (next?.raw !== undefined && found.length < 4 && !found.includes(next)) {
    found.push(next)
    next = (next as Partial<{ issuerCertificate: PeerCertificate }>).issuerCertificate
  }
  return found
}

/** Throws a Failure `agent.address`. */
export function hostAndPort(address: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(address) ?? []
  if (host === '' || Number(port) === 0 || Number(port) > 65_535) {
    throw new Failure('agent.address', `"${address}" is not HOST:PORT, such as house.lan:11436`)
  }
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}
