/**
 * One POST to a stranger: on a connection of its own, to an address that is judged at that moment, without following
 * redirects and without reading the answer. Node's own client: undici's pools are for nodes, which are called all day.
 */
import * as http from 'node:http'
import * as https from 'node:https'
import { guarded, hostOf } from '../address.ts'
import { Failure } from '../failure.ts'

export interface Letter {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Why an address may not be called. */
  readonly objection: (address: string) => string | undefined
  readonly signal: AbortSignal
}

/**
 * Resolves to the status. Rejects with a Failure: `callback.address`, `callback.refused` (no connection came about),
 * `callback.broken`, or `callback.timeout` where the signal said stop.
 */
export function post({ url, headers, body, objection, signal }: Letter): Promise<number> {
  const judged = (address: string): Failure | undefined => {
    const why = objection(address)
    return why === undefined ? undefined : new Failure('callback.address', why)
  }
  return new Promise((resolve, reject) => {
    const failure = judged(hostOf(url)) // an address is not looked up
    if (failure !== undefined) return reject(failure)
    const secure = url.protocol === 'https:'
    let connected = false
    const fail = (cause: Error): void => {
      if (cause instanceof Failure) return reject(cause)
      const { message } = cause
      const options = { retryable: true, cause }
      if (signal.aborted) return reject(new Failure('callback.timeout', message, options))
      reject(new Failure(connected ? 'callback.broken' : 'callback.refused', message, options))
    }
    const request = (secure ? https : http).request(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      lookup: guarded(judged) as never,
      agent: false,
      signal,
    })
    request.once('socket', socket =>
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        connected = true
      }),
    )
    request.once('response', ({ statusCode = 0 }) => {
      resolve(statusCode)
      request.destroy()
    })
    request.once('error', fail)
    request.once('close', () => fail(new Error('the connection was closed without an answer')))
    request.end(body)
  })
}
