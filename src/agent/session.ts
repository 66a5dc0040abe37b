/**
 * One stream of Attach, as the agent has it: idle until the house begins a call on it, over with that call.
 *
 *   greeting ──hello──▶ idle ──first message──▶ busy ──end──▶ over
 *                        └──────────── let go ────────────────▲
 */
import { Refusal } from '../../machines/entity.ts'
import { Failure } from '../failure.ts'
import { callEnd, type Statuses } from '../rpc/errors.ts'
import type { Ears, Exchange } from '../rpc/exchange.ts'
import type { AttachRequest, AttachResponse, RelayRequest, RelayResponse } from '../rpc/messages.ts'
import type { AgentService } from './service.ts'

export type Stream = Exchange<AttachResponse, AttachRequest>

export interface ServeNeeds {
  readonly service: AgentService
  readonly statuses: Statuses
  /** Called for what should never happen. */
  readonly onBug: (error: unknown) => void
}

export interface Turns {
  /** The house has taken the stream in. */
  readonly accepted: () => void
  /** A call began on it. */
  readonly taken: () => void
  /** It is over, for what reason if not in order. Told once. */
  readonly over: (failure: Failure | undefined) => void
}

/** Answers with how to let go of it: at once while it is idle; a call that has begun goes on. */
export function serve(stream: Stream, { service, statuses, onBug }: ServeNeeds, turns: Turns): () => void {
  let state: 'idle' | 'busy' | 'over' = 'idle'
  const left = new AbortController()
  let room: (() => void) | undefined
  /** Of a relayed call, which has the stream to itself. */
  let ears: Ears<RelayRequest> | undefined

  const over = (failure?: Failure): void => {
    if (state === 'over') return
    state = 'over'
    left.abort()
    room?.()
    turns.over(failure)
  }
  const end = (error?: unknown): void => {
    if (state === 'over') return
    stream.put({ end: callEnd(error, statuses) })
    stream.end()
    over()
    if (error !== undefined && !(error instanceof Failure || error instanceof Refusal)) onBug(error)
  }
  const carry = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
      end()
    } catch (error) {
      end(error)
    }
  }
  const tell = <T>(from: () => AsyncIterable<T>, as: (message: T) => AttachRequest): Promise<void> =>
    carry(async () => {
      for await (const message of from()) {
        if (state === 'over') return
        if (stream.put(as(message))) continue
        await new Promise<void>(resolve => {
          room = resolve
        })
      }
    })
  const relayed: Exchange<RelayRequest, RelayResponse> = {
    put: part => stream.put({ relay: part }),
    end: () => end(),
    refuse: end,
    cancel() {
      stream.cancel()
      over()
    },
    pause: stream.pause,
    resume: stream.resume,
    hear(given) {
      ears = given
    },
  }
  const begin = (call: AttachResponse): void => {
    if ('relay' in call) {
      service.relay(relayed)
      ears?.message(call.relay)
    } else if ('status' in call) {
      void carry(async () => {
        stream.put({ status: { status: await service.status(call.status, left.signal) } })
      })
    } else if ('watch' in call)
      void tell(
        () => service.watch(call.watch, left.signal),
        status => ({ watch: { status } }),
      )
    else if ('command' in call) {
      void tell(
        () => service.command(call.command, left.signal),
        command => ({ command }),
      )
    } else if ('cancel' in call) {
      void carry(async () => {
        stream.put({ cancel: { cancelled: service.cancel(call.cancel.id) } })
      })
    } else end(new Refusal('agent.order', 'this agent does not know that call; is it older than the house?'))
  }

  stream.hear({
    accepted: turns.accepted,
    message(call) {
      if (state === 'idle') {
        state = 'busy'
        turns.taken()
        begin(call)
      } else if (state === 'busy' && 'relay' in call && ears !== undefined) ears.message(call.relay)
    },
    room() {
      const go = room
      room = undefined
      go?.()
      ears?.room()
    },
    end() {
      ears?.end()
      over()
    },
    gone(failure) {
      ears?.gone(failure)
      over(failure)
    },
  })
  return () => {
    if (state === 'idle')
      end(new Failure('agent.closing', 'the agent goes on elsewhere', { retryable: true }))
  }
}
