/** One question to a house, and its answer: JSON in, JSON out. */
import { absent, broken, refusal } from './connection.ts'

export interface House {
  /** Where it is, without a path. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: typeof fetch
}

export interface Question {
  readonly path: string
  readonly body: object
  /** How long the answer may take. */
  readonly waitMaxMs: number
  readonly signal?: AbortSignal | undefined
}

/** Throws a SubscriptionError, or the signal's reason. */
export async function post<T>(house: House, { path, body, waitMaxMs, signal }: Question): Promise<T> {
  const { url, headers } = house
  const late = AbortSignal.timeout(waitMaxMs)
  try {
    const response = await house
      .fetch(url + path, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      })
      .catch(error => {
        throw absent(url, error)
      })
    if (!response.ok) throw await refusal(url, response)
    return await (response.json() as Promise<T>).catch(broken(url))
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw error
  }
}

/** Where options do not say otherwise. */
export function houseOf({ url = 'http://127.0.0.1:11435', headers = {}, fetch: own }: Partial<House>): House {
  // Looked up when it is needed, so that a test may put another one in its place.
  return { url: url.replace(/\/+$/, ''), headers, fetch: own ?? ((input, init) => fetch(input, init)) }
}
