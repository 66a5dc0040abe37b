/**
 * A gRPC server: services of ours, and those by which others find out whether it is there (health) and what it can
 * (reflection). Limits are on everything that a caller could make large, many, or slow.
 */
import type { EventEmitter } from 'node:events'
import {
  logVerbosity,
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Calling, ServerCredentials } from './credentials.ts'
import type { Service } from './definitions.ts'
import { type Statuses, saidNo } from './errors.ts'
import { ofServer, reset, type Served } from './exchange.ts'
import type { Probe } from './limits.ts'

/** Who calls. */
export interface Caller {
  /** Address and port. */
  readonly peer: string
  /** As the library has it: what is known of whoever calls is read from it in credentials.ts. */
  readonly call: Calling
  header(name: string): string | undefined
}

/** Told one by one; a message that is too much at once waits for the reader. */
export type Outlet = Pick<
  ServerWritableStream<unknown, unknown>,
  'write' | 'once' | 'off' | 'writableNeedDrain' | 'cancelled'
>

export type Handler =
  | { readonly answer: (request: any, caller: Caller, signal: AbortSignal) => Promise<object> }
  | {
      /** Resolves when everything is told. */
      readonly tell: (request: any, out: Outlet, signal: AbortSignal, caller: Caller) => Promise<void>
    }
  | { readonly exchange: (exchange: Served<any, any>, caller: Caller) => void }

export interface Offer {
  readonly service: Service
  /** By the method's name in the file. One that is left out is unimplemented. */
  readonly handlers: Readonly<Record<string, Handler>>
}

export interface ServerNeeds {
  readonly clock: Clock
  /** HOST:PORT */
  readonly where: string
  readonly credentials: ServerCredentials
  readonly offers: readonly Offer[]
  readonly statuses: Statuses
  /** The largest message that is taken. */
  readonly messageBytesMax: number
  /** Calls at once on one connection. */
  readonly callsMax: number
  readonly probe: Probe
  /** Called for what should never happen. */
  readonly onBug: (error: unknown) => void
  /** Is there anything that this caller may not even ask? */
  readonly turnAway?: (caller: Caller) => Refusal | undefined
}

export interface RpcServer {
  /** Where it listens, as `127.0.0.1:50051`. */
  readonly address: string
  /** Tells those who watch that it takes nothing new. */
  leave(): void
  /** Ends when the calls under way have, or after `graceMs`. */
  close(graceMs: number): Promise<void>
}

/** What is still to be said when the grace is over. */
const FAREWELL_MS = 100

// Whatever goes wrong comes back as an error; the library would print it, too.
setLogVerbosity(logVerbosity.NONE)

/** Throws a Failure `house.address`. */
export async function openServer(needs: ServerNeeds): Promise<RpcServer> {
  const { clock, where, offers } = needs
  const server = new Server({
    'grpc.max_receive_message_length': needs.messageBytesMax,
    'grpc.max_concurrent_streams': needs.callsMax,
    'grpc.keepalive_time_ms': needs.probe.afterMs,
    'grpc.keepalive_timeout_ms': needs.probe.patienceMs,
    'grpc.enable_channelz': 0,
  })
  const open = new Set<EventEmitter>()
  for (const { service, handlers } of offers) {
    server.addService(service.methods as ServiceDefinition, implemented(handlers, needs, open))
  }
  const names = offers.map(({ service }) => service.name)
  const health = new HealthImplementation({
    '': 'SERVING',
    ...Object.fromEntries(names.map(name => [name, 'SERVING' as const])),
  })
  health.addToServer(server as never)
  new ReflectionService(Object.assign({}, ...offers.map(({ service }) => service.package)), {
    services: names,
  }).addToServer(server as never)
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(where, needs.credentials, (error, port) => {
      if (error === null) return resolve(port)
      const said = `cannot listen on ${where} for gRPC: something listens there already, or this machine lacks that address`
      reject(new Failure('house.address', said, { cause: error }))
    })
  })
  const leave = (): void => {
    for (const name of ['', ...names]) health.setStatus(name, 'NOT_SERVING')
  }
  return {
    address: where.replace(/\d+$/, String(bound)),
    leave,
    async close(graceMs) {
      leave()
      const { promise, resolve } = Promise.withResolvers<void>()
      server.tryShutdown(() => resolve())
      const late = clock.after(graceMs, () => {
        // Those who are still told something hear that it is over; a connection alone that closes need not tell them.
        for (const call of open) reset(call, needs.statuses)
        clock.after(FAREWELL_MS, () => {
          server.forceShutdown()
          // Sockets that are told to close wait for the other side to do the same, which may be gone.
          resolve()
        })
      })
      await promise
      late.cancel()
    },
  }
}

function implemented(
  handlers: Offer['handlers'],
  { statuses, turnAway, onBug }: ServerNeeds,
  open: Set<EventEmitter>,
): UntypedServiceImplementation {
  const enter = (call: EventEmitter): void => {
    open.add(call)
    call.on('close', () => open.delete(call))
  }
  const expected = (error: unknown): boolean => error instanceof Failure || error instanceof Refusal
  const callerOf = (call: Calling & Pick<ServerUnaryCall<unknown, unknown>, 'metadata'>): Caller => {
    const caller: Caller = {
      peer: call.getPeer(),
      call,
      header: name => call.metadata.get(name)[0]?.toString(),
    }
    const why = turnAway?.(caller)
    if (why !== undefined) throw why
    return caller
  }
  const wrap = (handler: Handler): UntypedServiceImplementation[string] => {
    if ('answer' in handler) {
      return async (call: ServerUnaryCall<object, object>, done: (...said: any[]) => void) => {
        const left = new AbortController()
        call.on('cancelled', () => left.abort())
        try {
          done(null, await handler.answer(call.request, callerOf(call), left.signal))
        } catch (error) {
          done(saidNo(error, statuses))
          if (!expected(error)) onBug(error)
        }
      }
    }
    if ('tell' in handler) {
      return async (call: ServerWritableStream<object, object>) => {
        enter(call)
        const left = new AbortController()
        const leave = (): void => left.abort()
        call.on('cancelled', leave)
        call.on('close', leave)
        try {
          await handler.tell(call.request, call, left.signal, callerOf(call))
          if (!call.cancelled) call.end()
        } catch (error) {
          call.emit('error', saidNo(error, statuses))
          if (!expected(error)) onBug(error)
        } finally {
          leave()
        }
      }
    }
    return (call: ServerDuplexStream<object, object>) => {
      enter(call)
      const exchange = ofServer(call, statuses)
      try {
        handler.exchange(exchange, callerOf(call))
      } catch (error) {
        exchange.refuse(error)
        if (!expected(error)) onBug(error)
      }
    }
  }
  return Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [name, wrap(handler)]))
}
