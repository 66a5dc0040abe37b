/** A house's authority and whoever has a certificate of it, on real sockets. */
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { type Authority, HousePapers, makeAuthority, pkiIn } from '../../src/pki/authority.ts'
import type { Bearer } from '../../src/pki/bearer.ts'
import { keyOfRequest } from '../../src/pki/certificate.ts'
import { type Identity, Papers } from '../../src/pki/papers.ts'
import { newRequest } from '../../src/pki/request.ts'
import { Channel } from '../../src/rpc/channel.ts'
import type { Dialling, ServerCredentials } from '../../src/rpc/credentials.ts'
import type { Offer } from '../../src/rpc/server.ts'
import { openServer } from '../../src/rpc/server.ts'

export const HOUR_MS = 3_600_000
export const probe = { afterMs: 10_000, patienceMs: 8_000 }

export interface Trusted {
  readonly authority: Authority
  readonly house: Papers
  issue(bearer: Bearer, options?: { readonly now?: number; readonly lifetimeMs?: number }): Identity
  node(name: string): Papers
}

export async function trusted(t: Test): Promise<Trusted> {
  const dir = mkdtempSync(join(tmpdir(), 'quipu-pki-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const authority = await makeAuthority(pkiIn(dir), systemClock)
  const house = new HousePapers(authority, systemClock)
  t.teardown(() => house.close())
  const issue: Trusted['issue'] = (bearer, { now = Date.now(), lifetimeMs = HOUR_MS } = {}) => {
    const { key, csr } = newRequest()
    const { certificate } = authority.issue(bearer, keyOfRequest(csr)!, { now, lifetimeMs })
    return { key, certificate, authority: authority.certificate }
  }
  return {
    authority,
    house: house.papers,
    issue,
    node: name => new Papers(issue({ role: 'node', node: name })),
  }
}

export const serialIn = ({ certificate }: Identity): string => new X509Certificate(certificate).serialNumber

/** Where it listens. */
export async function serve(t: Test, credentials: ServerCredentials, ...offers: Offer[]): Promise<string> {
  const server = await openServer({
    clock: systemClock,
    where: '127.0.0.1:0',
    credentials,
    offers,
    statuses,
    messageBytesMax: 65_536,
    callsMax: 100,
    probe,
    onBug: error => void t.fail('a bug', { error }),
  })
  t.teardown(() => server.close(0))
  return server.address
}

export function dial(t: Test, address: string, dialling: Dialling): Channel {
  const channel = new Channel({ clock: systemClock, address, dialling, probe })
  t.teardown(() => channel.close())
  return channel
}
