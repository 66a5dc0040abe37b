/**
 * Messages of one call, both ways, whoever of the two dialled. Nothing is read before somebody listens, and no more than
 * a few messages are held: whoever cannot take more pauses, whoever sends looks at what put() says.
 */
import type { EventEmitter } from 'node:events'
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { type ClientDuplexStream, Metadata, type ServerDuplexStream, type ServiceError } from '@grpc/grpc-js'
import { Failure } from '../failure.ts'
import { heardNo, type Statuses, saidNo } from './errors.ts'
import { FLOW_WINDOW_BYTES } from './limits.ts'

export interface Exchange<In, Out> {
  /** Sends. False: enough for now, `room` tells when there may be more. */
  put(message: Out): boolean
  /** Nothing more from this side. Of a server: and everything is in order. */
  end(): void
  /** Of a server: says no. Of a client: breaks it off, for nobody asks it why. */
  refuse(error: unknown): void
  /** Breaks it off at once, whatever is still on its way. Nothing more is heard. */
  cancel(): void
  pause(): void
  resume(): void
  /** Told once. What comes before that waits. */
  hear(ears: Ears<In>): void
}

export interface Ears<In> {
  /** Of a client: the other side has accepted. It may say something first, or never accept in so many words. */
  accepted?(): void
  message(message: In): void
  /** After put() said that it was enough. */
  room(): void
  /** The other side has said all it has to say. */
  end(): void
  /** It is over before its time: the other side left, said no, or is not there any more. Nothing more comes. */
  gone(failure: Failure): void
}

/** As a server has it. */
export interface Served<In, Out> extends Exchange<In, Out> {
  /** The same object for all calls on one connection. */
  readonly connection: object | undefined
  /** Tells the caller that it is taken, before there is anything else to say. */
  accept(): void
}

export function ofServer<In, Out>(call: ServerDuplexStream<In, Out>, statuses: Statuses): Served<In, Out> {
  const session = wireOf(call)?.session
  if (session !== undefined) widen(session)
  return {
    ...over(call as unknown as Duplex, () => reset(call, statuses)),
    refuse: error => void call.emit('error', saidNo(error, statuses)),
    accept: () => call.sendMetadata(new Metadata()),
    connection: session,
  }
}

/** Breaks a server's call off at once. */
export function reset(call: EventEmitter, statuses: Statuses): void {
  const stream = wireOf(call)
  if (stream === undefined) call.emit('error', saidNo(BROKEN_OFF, statuses))
  else stream.close(constants.NGHTTP2_CANCEL)
}

export function ofClient<In, Out>(call: ClientDuplexStream<Out, In>): Exchange<In, Out> {
  return over(call as unknown as Duplex, () => call.cancel())
}

const BROKEN_OFF = new Failure('rpc.cancelled', 'the other side broke it off', { retryable: true })

function over<In, Out>(call: Duplex, cancel: () => void): Exchange<In, Out> {
  let done = false
  let ears: Ears<In> | undefined
  let early: Failure | undefined
  const gone = (failure: Failure): void => {
    if (done) return
    done = true
    if (ears === undefined) early = failure
    else ears.gone(failure)
  }
  const stop = (): void => {
    if (done) return
    done = true
    cancel()
  }
  call.on('error', (error: ServiceError) => gone(heardNo(error)))
  call.on('cancelled', () => gone(BROKEN_OFF))
  call.on('close', () => gone(BROKEN_OFF))
  return {
    put: message => done || call.writableEnded || call.write(message),
    end() {
      if (!done && !call.writableEnded) call.end()
    },
    refuse: stop,
    cancel: stop,
    pause: () => void call.pause(),
    resume: () => void call.resume(),
    hear(given) {
      ears = given
      if (early !== undefined) return given.gone(early)
      if (given.accepted !== undefined) call.once('metadata', () => given.accepted!())
      call.on('drain', () => {
        if (!done) given.room()
      })
      call.on('end', () => {
        if (!done) given.end()
      })
      call.on('data', (message: In) => {
        if (!done) given.message(message)
      })
    },
  }
}

const widened = new WeakSet<Http2Session>()

/**
 * What a client may send before it hears that it was read. grpc-js lets clients set that for what they get; for servers it is
 * the 64 KiB of HTTP/2, and a body then waits for the way back and forth after each piece.
 */
function widen(session: Http2Session): void {
  if (widened.has(session) || session.destroyed) return
  widened.add(session)
  session.setLocalWindowSize(FLOW_WINDOW_BYTES)
  session.settings({ initialWindowSize: FLOW_WINDOW_BYTES })
}

/**
 * The HTTP/2 stream under a call. grpc-js lets a server end a call in order, behind all that it has still to send; what the
 * other side does not take would hold that up for ever. Only resetting the stream gets past, and only the stream can.
 */
function wireOf(call: object): ServerHttp2Stream | undefined {
  const { stream } = (call as { call?: { stream?: ServerHttp2Stream } }).call ?? {}
  return typeof stream?.close === 'function' ? stream : undefined
}
