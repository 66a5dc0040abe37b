/** How an agent and its house find out who the other is. In plain text they take each other's word, on one machine. */
import { isHere } from '../address.ts'
import { Failure } from '../failure.ts'
import { type Dialling, plaintext, type ServerCredentials } from '../rpc/credentials.ts'
import type { Caller } from '../rpc/server.ts'

export interface Introductions {
  /** Asked for each connection to the house, at HOST:PORT: certificates change. Throws a Failure where it may not be. */
  readonly dialling: (house: string) => Dialling
  /** What is shown to those who dial, at HOST:PORT. Throws a Failure where nobody may. */
  readonly serving: (where: string) => ServerCredentials
  /** Throws a Refusal for whoever is not the house. */
  readonly admit: (caller: Caller) => void
  /** Begins whatever keeps them good; `redial` makes new lines, beside the old ones. Answers with how to end that. */
  readonly keep?: (redial: () => void) => () => void
}

export const inPlainText: Introductions = {
  dialling(house) {
    stays(house, '--house')
    return plaintext.dialling()
  },
  serving(where) {
    stays(where, '--listen')
    return plaintext.serving()
  },
  admit() {},
}

function stays(address: string, flag: string): void {
  if (isHere(address)) return
  throw new Failure(
    'config.invalid',
    `${flag}: ${address} is not on this machine: with --insecure, only 127.0.0.1, [::1] and localhost are allowed`,
  )
}
