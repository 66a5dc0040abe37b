/**
 * The HTTP doors, assembled: what may come in, how fast and how large, and which path leads where. Fastify serves the
 * house's own doors; Ollama's are answered here, raw, because they must be Ollama's to the byte.
 *
 *   edge ─▶ one at a time per connection ─▶ route ─▶ trust ─▶ body ─▶ handler
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import fastify, { type FastifyInstance, type FastifyPluginAsync, LogController } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Config } from '../config.ts'
import { Failure } from '../failure.ts'
import type { Naming } from '../naming.ts'
import { answer } from './answer.ts'
import { Bodies, hasBody } from './body.ts'
import { Edge } from './edge.ts'
import type { Inference } from './inference.ts'
import type { OllamaApi } from './ollama.ts'
import { BUSY, dialectOf, hearRefusal, refuse, statuses, UNWRITABLE } from './refusals.ts'
import { type Found, find, type Method, notFound, type Route, table } from './routes.ts'

export interface ServerNeeds {
  readonly config: Config
  readonly bodies?: Bodies
  readonly clock?: Clock
  readonly inference: Inference
  readonly ollama: OllamaApi
  /** The house's own doors: /quipu, /metrics, health. */
  readonly control: FastifyPluginAsync
  /** Under which name somebody is written down; see naming.ts. */
  readonly naming: Naming
  /** Called with the code of each refusal that leaves no fact. */
  readonly turnedAway: (code: string) => void
  /** Called for what is neither a Refusal nor a Failure. */
  readonly onBug: (error: unknown) => void
}

/** Headers within 10 s, looked at every 2 s; for bodies see body.ts. */
const HEADERS_TIMEOUT_MS = 10_000
const CHECK_EVERY_MS = 2_000
/** Longer than Go's clients keep an idle connection (90 s), so that it is not the house that hangs up first. */
const KEEP_ALIVE_MS = 100_000
const PROBE_AFTER_MS = 15_000
const HEADER_BYTES_MAX = 16 * 1024
const HEADERS_MAX = 100
/** Requests that wait on one connection for the one before them. No client in use sends even one. */
const PIPELINED_MAX = 8
/** Lists of files, a template, a license; and what the house's own doors take. */
const VERB_BYTES_MAX = 8 * 1024 * 1024
/** A model's name has four parts of 80 letters at most, a node's 63; a transfer's has both. */
const PARAM_LENGTH_MAX = 512
const CONTROL_BYTES_MAX = 64 * 1024

/** When to come back where nobody knows better. */
const AGAIN_S = '10'

/** Of the house's own doors, what a stranger may ask: is it well? */
const OPEN_TO_ALL: ReadonlySet<string> = new Set(['/healthz', '/readyz'])

export async function openServer(needs: ServerNeeds): Promise<FastifyInstance> {
  const { config, clock = systemClock } = needs
  const edge = new Edge(config)
  const { bodies = new Bodies(clock) } = needs
  const routes = table(needs)
  const app = fastify({
    logger: { level: config.log, stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true }), // the journal is the record of requests
    exposeHeadRoutes: false,
    trustProxy: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle', // main.ts waits for the others, for a while
    bodyLimit: CONTROL_BYTES_MAX,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    connectionTimeout: 0, // a model that loads is silent for minutes
    requestTimeout: 0, // an upload takes hours; body.ts sees to the pace of each
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      insecureHTTPParser: false,
      keepAlive: true, // TCP's own: finds clients that vanished without a word while they wait
      keepAliveInitialDelay: PROBE_AFTER_MS,
      noDelay: true,
    },
    clientErrorHandler: (error, socket) => hangUp(error, socket),
    frameworkErrors: (_error, _request, reply) => {
      reply.hijack()
      answer(reply.raw, 400, PLAIN_CLOSE, '400 Bad Request')
    },
  })
  app.server.maxConnections = config.connectionsMax
  app.server.maxHeadersCount = HEADERS_MAX + 1

  const queues = new WeakMap<Socket, number>()
  /** Resolves to whether it is this request's turn on its connection, at once where nobody is before it. */
  const turn = async ({ socket }: IncomingMessage, res: ServerResponse): Promise<boolean> => {
    if (res.socket !== null) return true
    const waiting = (queues.get(socket) ?? 0) + 1
    queues.set(socket, waiting)
    if (waiting > PIPELINED_MAX) socket.destroy()
    const gone = new AbortController()
    const leave = (): void => gone.abort()
    socket.once('close', leave)
    try {
      await once(res, 'socket', { signal: gone.signal })
      return true
    } catch {
      return false
    } finally {
      socket.off('close', leave)
      queues.set(socket, queues.get(socket)! - 1)
    }
  }

  app.decorateRequest('by', '')
  app.addHook('onRequest', async (request, reply) => {
    const { raw: req } = request
    const { raw: res } = reply
    request.by = needs.naming(request.ip)
    if (!(await turn(req, res))) return reply.hijack()
    hearRefusal(res, needs.turnedAway)
    const found = find(routes, req.url!)
    const met = found?.route.methods.includes(req.method as Method) ? found : undefined
    if (hasBody(req)) {
      if (met?.route.body === 'streamed') bodies.stall(req)
      else bodies.pace(req, () => late(res))
    }
    // Ollama names neither the connection nor how long it stays.
    if (req.httpVersion === '1.1' && !/\bclose\b/i.test(req.headers.connection ?? ''))
      res.removeHeader('Connection')
    const verdict = edge.judge(req)
    if (!verdict.pass) {
      reply.hijack()
      needs.turnedAway(`http.${verdict.status}`)
      const close = verdict.status === 400 ? { Connection: 'close' } : {}
      return answer(res, verdict.status, close, verdict.message)
    }
    if (verdict.cors !== undefined) {
      res.setHeader('Access-Control-Allow-Origin', verdict.cors)
      if (verdict.cors !== '*') res.setHeader('Vary', 'Origin')
    }
    if (req.rawHeaders.length > 2 * HEADERS_MAX) {
      reply.hijack()
      return answer(res, 431, PLAIN_CLOSE, '431 Request Header Fields Too Large')
    }
    if (req.method === 'OPTIONS') {
      reply.hijack()
      return options(req, res, verdict.cors !== undefined, routes)
    }
    if (met === undefined && !request.is404) return // to one of the house's own doors
    reply.hijack()
    if (met === undefined) return notFound(req, res, routes)
    void serve(req, res, met).catch(error => answerError(error, dialectOf(met.target), res))
  })

  const serve = async (
    req: IncomingMessage,
    res: ServerResponse,
    { route, param, target }: Found,
  ): Promise<void> => {
    const dialect = dialectOf(target)
    if (route.guarded && req.method !== 'HEAD') {
      const why = edge.distrusts(req)
      if (why !== undefined) return refuse(res, dialect, { status: 403, message: why })
    }
    if (route.recorded && !needs.ollama.writable) return refuse(res, dialect, UNWRITABLE)
    // Go reads no body where no handler asks for it.
    const whole = route.body === 'inference' || route.body === 'verb'
    const by = needs.naming(req.socket.remoteAddress ?? '')
    const body = whole ? await bodies.whole(req, res, bytesMax[route.body]()) : Buffer.alloc(0)
    const trusted = (): boolean => edge.distrusts(req) === undefined
    await route.handle({ req, res, by, trusted, param, route: route.path, target, body }, bodies)
  }
  const bytesMax = {
    inference: () => config.bodyMaxBytes,
    verb: () => Math.min(VERB_BYTES_MAX, config.bodyMaxBytes),
  }

  const answerError = (error: unknown, dialect: ReturnType<typeof dialectOf>, res: ServerResponse): void => {
    if (error instanceof Failure) app.log.warn({ code: error.code, err: error }, error.message)
    if (error instanceof Refusal || error instanceof Failure) {
      const { code, message } = error
      const said = code === 'house.memory' ? BUSY : message
      const status = statuses[code] ?? 500
      const headers: Record<string, string> = status === 503 ? { 'Retry-After': AGAIN_S } : {}
      return refuse(res, dialect, { status, message: said, code, headers })
    }
    const { statusCode } = error as { statusCode?: number }
    if (error instanceof Error && statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
      const [code, message] =
        statusCode === 413
          ? ['request.too-large', 'the request body is larger than this door takes']
          : ['request.invalid', error.message]
      return refuse(res, dialect, { status: statusCode, message, code })
    }
    refuse(res, dialect, { status: 500, message: 'internal error; the house has said more on its stderr' })
    needs.onBug(error)
  }

  app.setErrorHandler((error, request, reply) => {
    reply.hijack()
    answerError(error, dialectOf(request.raw.url!), reply.raw)
  })
  await app.register(async scope => {
    scope.addHook('onRequest', async ({ raw: req }, reply) => {
      const { raw: res } = reply
      const why = OPEN_TO_ALL.has(req.url!.split('?', 1)[0]!) ? undefined : edge.distrusts(req)
      if (why !== undefined) {
        reply.hijack()
        return refuse(res, 'control', { status: 403, message: why, code: 'house.untrusted' })
      }
    })
    await scope.register(needs.control)
  })
  return app
}

const PLAIN_CLOSE = { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' }

function late(res: ServerResponse): void {
  const { socket, req } = res
  const message = 'the request body comes in too slowly'
  refuse(res, dialectOf(req.url!), { status: 408, message, headers: { Connection: 'close' } })
  socket?.destroySoon()
}

/** What Node's parser has no patience with: bad syntax, too many headers, none at all for too long. */
function hangUp({ code }: NodeJS.ErrnoException, socket: Socket): void {
  // Not into the middle of an answer.
  if (code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) return void socket.destroy()
  const said =
    code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  const length = Buffer.byteLength(said)
  socket.end(
    `HTTP/1.1 ${said}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${said}`,
    () => socket.destroy(),
  )
}

/** Ollama's list, as its CORS middleware gives it. */
const ALLOWED_HEADERS =
  'Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout'
const ALLOWED_METHODS = 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS'

/** A preflight; or OPTIONS from nowhere, which gin answers by the name it was called. */
function options(req: IncomingMessage, res: ServerResponse, cors: boolean, routes: readonly Route[]): void {
  const methods = find(routes, req.url!)?.route.methods.join(', ')
  const allow = methods === undefined ? {} : { Allow: methods }
  if (cors) {
    res.writeHead(204, {
      ...allow,
      Vary: ['Origin', 'Access-Control-Request-Method', 'Access-Control-Request-Headers'],
      'Access-Control-Allow-Headers': ALLOWED_HEADERS,
      'Access-Control-Allow-Methods': ALLOWED_METHODS,
      'Access-Control-Max-Age': '43200',
    })
    res.end()
    return
  }
  const name = (req.headers.host ?? '').replace(/:\d+$/, '')
  if (!/^localhost$|\.(localhost|local|internal)$/i.test(name)) return notFound(req, res, routes)
  res.writeHead(204, allow)
  res.end()
}
