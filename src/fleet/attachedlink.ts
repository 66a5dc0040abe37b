/** A line to an agent that attached; each call takes one of its streams. */
import type { Call, Outgoing, Receiver } from '../call.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Exchange } from '../rpc/exchange.ts'
import type {
  AttachResponse,
  CommandProgress,
  ModelCommandRequest,
  NodeStatus,
  RelayRequest,
  RelayResponse,
} from '../rpc/messages.ts'
import type { Answer, Attached, Lent } from './attached.ts'
import { carry } from './carry.ts'
import { progressIn } from './hearsay.ts'
import { DEADLINE_MS, type Link, ours, within } from './link.ts'

/** Messages that wait for whoever reads them. */
const HELD_MAX = 32

export function attachedLink(attached: Attached, node: string, clock: Clock): Link {
  const ask = (request: AttachResponse, signal: AbortSignal): Promise<Answer> =>
    within(clock, DEADLINE_MS, signal, async late => {
      for await (const answer of calls(attached, node, request, late)) return answer
      if (late.aborted)
        throw new Failure('agent.timeout', `the agent of ${node} did not answer in time`, { retryable: true })
      throw odd(node)
    })
  return {
    node,
    async status({ fresh, signal }) {
      const answer = await ask({ status: { fresh } }, signal)
      if ('status' in answer) return answer.status.status
      throw odd(node)
    },
    async *watch({ intervalMs, signal }): AsyncGenerator<NodeStatus> {
      for await (const answer of calls(attached, node, { watch: { intervalMs } }, signal)) {
        if (!('watch' in answer)) throw odd(node)
        yield answer.watch.status
      }
    },
    async *command(request: ModelCommandRequest, signal): AsyncGenerator<CommandProgress> {
      for await (const answer of calls(attached, node, { command: request }, signal)) {
        if (!('command' in answer)) throw odd(node)
        const told = progressIn(answer.command)
        if (told !== undefined) yield told
      }
    },
    async cancel(id, signal) {
      const answer = await ask({ cancel: { id } }, signal)
      if ('cancel' in answer) return answer.cancel.cancelled
      throw odd(node)
    },
    send: (out, receiver) => send(attached, node, out, receiver),
  }
}

function send(attached: Attached, node: string, out: Outgoing, receiver: Receiver): Call {
  let call: Call | undefined
  let over = false
  let paused = false
  const giveUp = attached.lend(
    node,
    lent => {
      if (over) return lent.cancel()
      call = carry(relayed(lent), out, receiver)
      if (paused) call.pause()
    },
    ({ message, cause }) =>
      // As with HTTP, nobody hears of it before the caller knows what call it is of.
      queueMicrotask(() => {
        if (over) return
        over = true
        receiver.fail(new Failure('ollama.refused', message, { retryable: true, cause }))
      }),
  )
  return {
    pause() {
      paused = true
      call?.pause()
    },
    resume() {
      paused = false
      call?.resume()
    },
    abort() {
      if (over) return
      over = true
      giveUp()
      call?.abort()
    },
  }
}

function relayed(lent: Lent): Exchange<RelayResponse, RelayRequest> {
  return {
    ...lent,
    put: relay => lent.put({ relay }),
    hear: ears =>
      lent.hear({
        ...ears,
        message(answer: Answer) {
          if ('relay' in answer) ears.message(answer.relay)
        },
      }),
  }
}

/** All that comes of one call. Leaving the loop, or the signal, breaks it off. */
async function* calls(
  attached: Attached,
  node: string,
  request: AttachResponse,
  signal: AbortSignal,
): AsyncGenerator<Answer> {
  const held: Answer[] = []
  let lent: Lent | undefined
  let failure: Failure | undefined
  let over = false
  let wake: (() => void) | undefined
  const stir = (): void => {
    const go = wake
    wake = undefined
    go?.()
  }
  const finish = (why?: Failure): void => {
    over = true
    failure = why
    stir()
  }
  const giveUp = attached.lend(
    node,
    line => {
      lent = line
      line.hear({
        message(answer) {
          if (held.push(answer) >= HELD_MAX) line.pause()
          stir()
        },
        room() {},
        end: finish,
        gone: why => finish(ours(why)),
      })
      line.put(request)
    },
    finish,
  )
  const leave = (): void => {
    lent?.cancel()
    finish()
  }
  signal.addEventListener('abort', leave)
  try {
    if (signal.aborted) leave()
    for (;;) {
      const answer = held.shift()
      if (answer !== undefined) {
        if (held.length === 0) lent?.resume()
        yield answer
      } else if (failure !== undefined) throw failure
      else if (over) return
      else {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  } finally {
    signal.removeEventListener('abort', leave)
    giveUp()
    if (!over) lent?.cancel()
  }
}

function odd(node: string): Failure {
  return new Failure('agent.answer', `the agent of ${node} answered something else`)
}
