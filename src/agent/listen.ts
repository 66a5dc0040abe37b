/** Serves Agent at an address of its own, for a house that dials. */
import type { Clock } from '../clock.ts'
import type { ServerCredentials } from '../rpc/credentials.ts'
import { agentService } from '../rpc/definitions.ts'
import type { Exchange } from '../rpc/exchange.ts'
import { CALLS_MAX, MESSAGE_BYTES_MAX, PROBE, type Probe } from '../rpc/limits.ts'
import type { ModelCommandRequest, RelayRequest, RelayResponse } from '../rpc/messages.ts'
import { type Caller, type Outlet, openServer, type RpcServer } from '../rpc/server.ts'
import type { ServeNeeds } from './session.ts'

export interface ListenNeeds extends ServeNeeds {
  readonly clock: Clock
  /** HOST:PORT */
  readonly where: string
  readonly credentials: ServerCredentials
  /** Throws a Refusal for whoever is not the house. */
  readonly admit: (caller: Caller) => void
  readonly probe?: Probe
}

export function listen({ service, admit, probe = PROBE, ...needs }: ListenNeeds): Promise<RpcServer> {
  const telling = <Request, Message>(
    from: (request: Request, signal: AbortSignal) => AsyncIterable<Message>,
  ) => ({
    async tell(request: Request, out: Outlet, signal: AbortSignal, caller: Caller): Promise<void> {
      admit(caller)
      for await (const message of from(request, signal)) {
        if (signal.aborted) return
        if (!out.write(message)) await room(out, signal)
      }
    },
  })
  return openServer({
    ...needs,
    probe,
    messageBytesMax: MESSAGE_BYTES_MAX,
    callsMax: CALLS_MAX,
    offers: [
      {
        service: agentService,
        handlers: {
          GetCompleteNodeStatus: {
            async answer(request: { fresh: boolean }, caller, signal) {
              admit(caller)
              return { status: await service.status(request, signal) }
            },
          },
          WatchStatus: telling(async function* (request: { intervalMs: number }, signal) {
            for await (const status of service.watch(request, signal)) yield { status }
          }),
          RemoteModelCommand: telling((request: ModelCommandRequest, signal) =>
            service.command(request, signal),
          ),
          CancelModelCommand: {
            async answer(request: { id: string }, caller) {
              admit(caller)
              return { cancelled: service.cancel(request.id) }
            },
          },
          Relay: {
            exchange(exchange: Exchange<RelayRequest, RelayResponse>, caller) {
              admit(caller)
              service.relay(exchange)
            },
          },
        },
      },
    ],
  })
}

/** Resolves when more may be written, or nobody reads any more. */
function room(out: Outlet, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      out.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    out.once('drain', done)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
