/** A line to a gRPC server, as those who call it see it: calls that answer, that tell, and that go both ways. */
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Dialling } from './credentials.ts'
import type { Method, Service } from './definitions.ts'
import { heardNo } from './errors.ts'
import { type Exchange, ofClient } from './exchange.ts'
import { FLOW_WINDOW_BYTES, MESSAGE_BYTES_MAX, type Probe } from './limits.ts'

export interface ChannelNeeds {
  readonly clock: Clock
  /** HOST:PORT */
  readonly address: string
  readonly dialling: Dialling
  readonly probe: Probe
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** The server hears of it, too. */
  readonly deadlineMs?: number
}

const HEALTH = '/grpc.health.v1.Health/Check'
const TROUBLE_MS = 1_000

interface Running {
  cancel(): void
  once(event: 'status', heard: () => void): unknown
}

export class Channel {
  readonly #clock: Clock
  readonly #client: Client
  /** Under way. */
  readonly #calls = new Set<Running>()
  #closed = false

  constructor({ clock, address, dialling, probe }: ChannelNeeds) {
    this.#clock = clock
    this.#client = new Client(`dns:${address}`, dialling.credentials, {
      ...dialling.options,
      'grpc.keepalive_time_ms': probe.afterMs,
      'grpc.keepalive_timeout_ms': probe.patienceMs,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc-node.flow_control_window': FLOW_WINDOW_BYTES,
      // A line is nobody else's: closing it closes it.
      'grpc.use_local_subchannel_pool': 1,
      // Who calls knows better whether to call again; and what could be sent again need not be kept.
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_channelz': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.initial_reconnect_backoff_ms': 500,
      'grpc.max_reconnect_backoff_ms': 5_000,
    })
  }

  /** Resolves once connected; throws a Failure `rpc.broken`. */
  async ready(withinMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const channel = this.#client.getChannel()
    const late = new Date(this.#clock.now() + withinMs)
    const look = (error?: Error): void => {
      if (error !== undefined)
        return reject(new Failure('rpc.timeout', 'no connection in time', { retryable: true }))
      // To ask one for its state that is closed would have it connect again, and stay.
      if (this.#closed) return reject(new Failure('rpc.broken', 'the channel is closed'))
      const state = channel.getConnectivityState(true)
      if (state === connectivityState.READY) return resolve()
      if (state === connectivityState.TRANSIENT_FAILURE) {
        return this.#trouble(said => reject(new Failure('rpc.broken', said, { retryable: true })))
      }
      channel.watchConnectivityState(state, late, look)
    }
    look()
    return promise
  }

  /** Resolves once it is connected no more. */
  broken(): Promise<void> {
    const channel = this.#client.getChannel()
    return new Promise(resolve => {
      const look = (): void => {
        try {
          if (channel.getConnectivityState(false) !== connectivityState.READY) return resolve()
          channel.watchConnectivityState(connectivityState.READY, Number.POSITIVE_INFINITY, look)
        } catch {
          // Closed by us.
          resolve()
        }
      }
      look()
    })
  }

  /** Only a call is told what is wrong with the connection. */
  #trouble(told: (said: string) => void): void {
    const none = (): Buffer => Buffer.alloc(0)
    const deadline = new Date(this.#clock.now() + TROUBLE_MS)
    this.#client.makeUnaryRequest(HEALTH, none, none, {}, new Metadata(), { deadline }, error =>
      told(error === null ? 'no connection came about' : heardNo(error).message),
    )
  }

  ask<Out>(service: Service, name: string, request: object, options: CallOptions = {}): Promise<Out> {
    const { path, requestSerialize, responseDeserialize } = method(service, name)
    const { promise, resolve, reject } = Promise.withResolvers<Out>()
    const call = this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new Metadata(),
      this.#options(options),
      (error, answer) => (error === null ? resolve(answer as Out) : reject(heardNo(error))),
    )
    this.#begun(call)
    return until(options.signal, () => call.cancel(), promise)
  }

  async *listen<Out>(
    service: Service,
    name: string,
    request: object,
    options: CallOptions = {},
  ): AsyncGenerator<Out> {
    const { path, requestSerialize, responseDeserialize } = method(service, name)
    const call: ClientReadableStream<Out> = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => Out,
      request,
      new Metadata(),
      this.#options(options),
    )
    this.#begun(call)
    const leave = (): void => call.cancel()
    options.signal?.addEventListener('abort', leave)
    try {
      if (options.signal?.aborted) leave()
      for await (const message of call) yield message as Out
    } catch (error) {
      throw error instanceof Failure ? error : heardNo(error as ServiceError)
    } finally {
      options.signal?.removeEventListener('abort', leave)
      call.cancel()
    }
  }

  exchange<In, Out>(service: Service, name: string): Exchange<In, Out> {
    const { path, requestSerialize, responseDeserialize } = method(service, name)
    const call = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
      {},
    )
    this.#begun(call)
    return ofClient(call as unknown as ClientDuplexStream<Out, In>)
  }

  /** Calls go on until they have ended. */
  close(): void {
    this.#closed = true
    this.#client.close()
  }

  /** Breaks off every call, and closes. */
  cut(): void {
    for (const call of [...this.#calls]) call.cancel()
    this.close()
  }

  #begun(call: Running): void {
    this.#calls.add(call)
    call.once('status', () => void this.#calls.delete(call))
  }

  #options({ deadlineMs }: CallOptions): { deadline?: Date } {
    return deadlineMs === undefined ? {} : { deadline: new Date(this.#clock.now() + deadlineMs) }
  }
}

function method({ methods }: Service, name: string): Method {
  return methods[name] as Method
}

async function until<T>(
  signal: AbortSignal | undefined,
  cancel: () => void,
  promise: Promise<T>,
): Promise<T> {
  if (signal?.aborted) cancel()
  signal?.addEventListener('abort', cancel)
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}
