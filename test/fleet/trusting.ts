/** A journal under a virtual clock, an authority, and those who want certificates of it. */
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Joining } from '../../src/fleet/joining.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { makeAuthority, pkiIn } from '../../src/pki/authority.ts'
import { fingerprintOf } from '../../src/pki/bearer.ts'
import { keyOfRequest } from '../../src/pki/certificate.ts'
import { newRequest } from '../../src/pki/request.ts'
import { views } from '../../src/projections/views.ts'
import type { Principal } from '../../src/rpc/credentials.ts'

export const DAY_MS = 86_400_000

export async function trusting(t: Test, { agentCertificateMs = 30 * DAY_MS } = {}) {
  const clock = virtualClock()
  const records: string[] = []
  const journal = openMemoryJournal({ clock, records })
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const dir = mkdtempSync(join(tmpdir(), 'quipu-trust-'))
  t.teardown(async () => {
    engine.close()
    await journal.close()
    rmSync(dir, { recursive: true })
  })
  const authority = await makeAuthority(pkiIn(dir), clock)
  const naming = (name: string) => `~${name}`
  const config = { agentCertificateMs }
  const joining = new Joining({ ...answers, engine, clock, naming, config, authority, keyOfRequest })
  const principal = (pem: string, node: string): Extract<Principal, { role: 'node' }> => {
    const { serialNumber: serial, raw, validToDate } = new X509Certificate(pem)
    return { role: 'node', node, serial, fingerprint: fingerprintOf(raw), until: validToDate.getTime() }
  }
  return {
    clock,
    records,
    engine,
    authority,
    joining,
    trusted: answers.trusted,
    journal,
    principal,
    /** As the node that was invited would do it. */
    async join(node: string) {
      const { token } = await joining.invite(node, 3_600_000, 'cli')
      const { csr } = newRequest()
      const { certificate } = await joining.join({ token, csr }, '10.0.0.1')
      return principal(certificate, node)
    },
    async renew(present: Extract<Principal, { role: 'node' }>) {
      const { node, certificate } = await joining.renew(present, newRequest())
      return principal(certificate, node)
    },
  }
}
