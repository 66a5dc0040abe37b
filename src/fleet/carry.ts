/** A call of Ollama's API, told to an agent message by message, and its answer taken in; see proto's Relay. */
import type { Call, Outgoing, Receiver } from '../call.ts'
import { Failure } from '../failure.ts'
import type { Exchange } from '../rpc/exchange.ts'
import { pieces } from '../rpc/limits.ts'
import type { Header, RelayRequest, RelayResponse } from '../rpc/messages.ts'

/**
 * Of a body, in one message: it fits one frame of HTTP/2 (16 KiB), and five are what a socket gives at once. On this way, from
 * a server of gRPC to a client, that takes two thirds of the processor that larger ones take; on the way back it takes more.
 */
const FRAME_BYTES = 13_108

/** Begins at once. `refused` where nobody can have begun to do what was asked, as with a call over HTTP. */
export function carry(line: Exchange<RelayResponse, RelayRequest>, out: Outgoing, receiver: Receiver): Call {
  const { body } = out
  const source = body === null || Buffer.isBuffer(body) ? undefined : body
  let over = false
  let answered = false

  const finish = (): void => {
    over = true
    if (source?.readableEnded === false) source.destroy()
  }
  const fail = (refused: boolean, reason: string, cause?: unknown): void => {
    if (over) return
    finish()
    receiver.fail(
      new Failure(refused ? 'ollama.refused' : 'ollama.broken', reason, { retryable: true, cause }),
    )
  }

  line.hear({
    message(part) {
      if (over) return
      if ('data' in part) return receiver.data(part.data)
      if ('head' in part) {
        answered = true
        return receiver.start(
          part.head.status,
          part.head.headers.flatMap(({ name, value }) => [name, value]),
        )
      }
      if ('failure' in part) return fail(part.failure.refused, part.failure.reason)
      // A later agent may say more than this house knows, and an answer is whole only where it says so.
      if (!('end' in part)) return
      finish()
      receiver.end()
    },
    room: () => void source?.resume(),
    end: () => fail(false, 'the agent ended in the middle of an answer'),
    gone: failure => fail(!answered && UNTAKEN.has(failure.code), failure.message, failure),
  })

  line.put({ head: { method: out.method, path: out.path, headers: headersOf(out), body: body !== null } })
  const whole = (): void => {
    if (over) return
    if (body !== null) line.put({ end: true })
    line.end()
  }
  if (source === undefined) {
    // It is in memory already; what waits to be sent are views of it.
    if (body !== null) pieces(body as Buffer, FRAME_BYTES, data => line.put({ data }))
    whole()
  } else {
    const cut = (error?: Error): void => {
      if (over || source.readableEnded) return
      fail(false, error?.message ?? 'the request ended in the middle of its body', error)
      line.cancel()
    }
    source.on('data', (chunk: Buffer) => {
      if (over) return
      pieces(chunk, FRAME_BYTES, data => {
        if (!line.put({ data })) source.pause()
      })
    })
    source.on('end', whole)
    source.on('error', cut)
    source.on('close', cut)
  }
  return {
    pause: () => line.pause(),
    resume: () => line.resume(),
    abort() {
      if (over) return
      finish()
      line.cancel()
    },
  }
}

/** A call that nobody takes. As over HTTP, its receiver hears so when the caller knows the call already. */
export function refused(receiver: Receiver, reason: string): Call {
  let over = false
  queueMicrotask(() => {
    if (!over) receiver.fail(new Failure('ollama.refused', reason, { retryable: true }))
  })
  return {
    pause() {},
    resume() {},
    abort() {
      over = true
    },
  }
}

/** The agent said so before it did anything. */
const UNTAKEN: ReadonlySet<string> = new Set(['agent.closing', 'agent.busy', 'agent.away'])

/** What an HTTP client adds by itself. */
function headersOf({ headers, body }: Outgoing): Header[] {
  const list = Object.entries(headers).map(([name, value]) => ({ name, value }))
  if (Buffer.isBuffer(body)) list.push({ name: 'content-length', value: String(body.length) })
  return list
}
