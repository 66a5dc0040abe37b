/** How a house and its agents find out who the other is. In plain text they take each other's word, on one machine. */
import { Refusal } from '../../machines/entity.ts'
import { isHere } from '../address.ts'
import { Failure } from '../failure.ts'
import { type Dialling, plaintext, type ServerCredentials } from '../rpc/credentials.ts'
import type { Hello } from '../rpc/messages.ts'
import type { Caller, Handler } from '../rpc/server.ts'
import type { Identity } from './attached.ts'

export interface Introductions {
  /** Whose stream it is. Throws a Refusal where it may not attach. */
  readonly identify: (caller: Caller, hello: Hello) => Identity
  /** How to dial the agent of a node, at HOST:PORT. Throws a Failure where it may not be dialled. */
  readonly dialling: (node: string, address: string) => Dialling
  /** What is shown to those who attach, at HOST:PORT. Throws a Failure where nobody may. */
  readonly serving: (where: string) => ServerCredentials
  /** The methods of House by which an agent comes by a certificate. */
  readonly handlers: Readonly<Record<string, Handler>>
}

export const inPlainText: Introductions = {
  identify(_caller, { node }) {
    if (node !== '') return { node }
    throw new Refusal('agent.order', 'an agent without a certificate says in its hello which node it is of')
  },
  dialling(_node, address) {
    if (isHere(address)) return plaintext.dialling()
    throw new Failure(
      'config.invalid',
      `--insecure: ${address} is not on this machine, and plain text stays here`,
    )
  },
  serving(where) {
    if (isHere(where)) return plaintext.serving()
    throw new Failure(
      'config.invalid',
      `--agents: ${where} is not on this machine: with --insecure, only 127.0.0.1, [::1] and localhost are allowed`,
    )
  },
  handlers: {},
}

/** Of a house without an authority. */
export const strangers: Introductions = {
  identify() {
    throw new Refusal('agent.order', 'this house knows nobody')
  },
  dialling() {
    throw new Failure('config.invalid', STRANGERS)
  },
  serving() {
    throw new Failure('config.invalid', STRANGERS)
  },
  handlers: {},
}

const STRANGERS =
  '--agents: agents are known by certificates, and this house has no authority that gives them'
