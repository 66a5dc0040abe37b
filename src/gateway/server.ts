/**
 * The HTTP doors, assembled: what may come in, which path leads where, and what an unknown path is told. Fastify routes
 * and reads bodies; answers are written raw, because they must be Ollama's to the byte.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import fastify, {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import type { Config } from '../config.ts'
import { Failure } from '../failure.ts'
import { Edge } from './edge.ts'
import type { Inference } from './inference.ts'
import type { OllamaApi } from './ollama.ts'
import { dialectOf, refuse, statuses } from './refusals.ts'

export interface ServerNeeds {
  readonly config: Config
  readonly inference: Inference
  readonly ollama: OllamaApi
  /** The house's own doors: /quipu, /metrics, health. */
  readonly control: FastifyPluginAsync
  /** Called for what is neither a Refusal nor a Failure. */
  readonly onBug: (error: unknown) => void
}

type Handler = (
  req: IncomingMessage,
  res: ServerResponse,
  body: Buffer,
  param: string,
) => void | Promise<void>

interface Route {
  /** In the order Ollama's Allow header has them. */
  readonly methods: readonly ('GET' | 'HEAD' | 'POST' | 'DELETE')[]
  readonly path: string
  readonly handle: Handler
  /** Changes models or accounts: only for the trusted, where the house listens beyond this machine. */
  readonly guarded?: true
  /** The body is passed on as it comes in, whatever its size. */
  readonly streamed?: true
}

/** Slow clients: headers within 10 s, a whole body within 10 min (images over slow lines), looked at every 2 s. */
const HEADERS_TIMEOUT_MS = 10_000
const BODY_TIMEOUT_MS = 600_000
const CHECK_EVERY_MS = 2_000
const KEEP_ALIVE_MS = 75_000
const HEADER_BYTES_MAX = 16 * 1024
const HEADERS_MAX = 100
const PARAM_LENGTH_MAX = 512

/** Ollama's list, as its CORS middleware gives it. */
const ALLOWED_HEADERS =
  'Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout'
const ALLOWED_METHODS = 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS'

export async function openServer(needs: ServerNeeds): Promise<FastifyInstance> {
  const { config } = needs
  const edge = new Edge(config)
  const routes = table(needs)
  const app = fastify({
    logger: { level: config.log, stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true }), // the journal is the record of requests
    exposeHeadRoutes: false,
    trustProxy: false,
    return503OnClosing: false,
    forceCloseConnections: true,
    bodyLimit: config.bodyMaxBytes,
    connectionTimeout: 0,
    requestTimeout: BODY_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX, caseSensitive: true, ignoreTrailingSlash: false },
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      insecureHTTPParser: false,
      noDelay: true,
    },
    frameworkErrors: (_error, request, reply) => void unknown(request, reply),
  })
  app.server.maxConnections = config.connectionsMax
  app.server.maxHeadersCount = HEADERS_MAX

  app.addHook('onRequest', (request, reply, next) => {
    const { raw: req } = request
    const { raw: res } = reply
    const verdict = edge.judge(req)
    if (!verdict.pass) {
      reply.hijack()
      res.writeHead(verdict.status, {
        'Content-Length': Buffer.byteLength(verdict.message),
        ...(verdict.status === 400 && { Connection: 'close' }),
      })
      res.end(verdict.message)
      return
    }
    if (verdict.cors !== undefined) {
      res.setHeader('Access-Control-Allow-Origin', verdict.cors)
      if (verdict.cors !== '*') res.setHeader('Vary', 'Origin')
    }
    if (req.method === 'OPTIONS') {
      reply.hijack()
      options(req, res, verdict.cors !== undefined, routes)
      return
    }
    next()
  })

  app.setErrorHandler((error, request, reply) => {
    reply.hijack()
    answerError(error, request, reply.raw, needs)
  })
  app.setNotFoundHandler((request, reply) => unknown(request, reply))

  const unknown = (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack()
    notFound(request.raw, reply.raw, routes)
  }

  const doors =
    (streamed: boolean): FastifyPluginAsync =>
    async scope => {
      scope.removeAllContentTypeParsers()
      if (streamed) scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
      else scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
      for (const { methods, path, handle, guarded } of routes.filter(
        route => (route.streamed ?? false) === streamed,
      )) {
        for (const method of methods) {
          scope.route<{ Params: { param?: string } }>({
            method,
            url: path,
            handler: async (request, reply) => {
              reply.hijack()
              const { raw: req } = request
              if (guarded && method !== 'HEAD' && !edge.trusts(req)) return distrust(req, reply.raw)
              try {
                const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
                await handle(req, reply.raw, body, request.params.param ?? '')
              } catch (error) {
                answerError(error, request, reply.raw, needs)
              }
            },
          })
        }
      }
    }
  await app.register(doors(false))
  await app.register(doors(true))
  await app.register(async scope => {
    scope.addHook('onRequest', (request, reply, next) => {
      if (OPEN_TO_ALL.has(request.url.split('?', 1)[0]!) || edge.trusts(request.raw)) return next()
      reply.hijack()
      distrust(request.raw, reply.raw)
    })
    await scope.register(needs.control)
  })
  return app
}

/** Of the house's own doors, what a stranger may ask: is it well? */
const OPEN_TO_ALL: ReadonlySet<string> = new Set(['/healthz', '/readyz'])

function table({ inference, ollama }: ServerNeeds): readonly Route[] {
  const infer: Handler = (req, res, body) => inference.handle(req, res, body)
  const any: Handler = (req, res, body) => ollama.any(req, res, req.url!, body)
  const post = (path: string, handle: Handler): Route => ({ methods: ['POST'], path, handle })
  const verb = (path: string, handle: Handler): Route => ({ methods: ['POST'], path, handle, guarded: true })
  return [
    { methods: ['HEAD', 'GET'], path: '/', handle: (req, res) => ollama.root(req, res) },
    { methods: ['HEAD', 'GET'], path: '/api/version', handle: (req, res) => ollama.version(req, res) },
    { methods: ['GET'], path: '/api/status', handle: (req, res) => ollama.status(req, res) },
    { methods: ['HEAD', 'GET'], path: '/api/tags', handle: (req, res) => ollama.tags(req, res) },
    { methods: ['GET'], path: '/api/ps', handle: (req, res) => ollama.ps(req, res) },
    post('/api/show', (req, res, body) => ollama.show(req, res, body)),
    post('/api/generate', infer),
    post('/api/chat', infer),
    post('/api/embed', infer),
    post('/api/embeddings', infer),
    post('/v1/chat/completions', infer),
    post('/v1/completions', infer),
    post('/v1/embeddings', infer),
    post('/v1/responses', infer),
    post('/v1/audio/transcriptions', infer),
    post('/v1/messages', infer),
    { methods: ['GET'], path: '/v1/models', handle: (req, res) => ollama.models(req, res) },
    {
      methods: ['GET'],
      path: '/v1/models/:param',
      handle: (req, res, _body, param) => ollama.model(req, res, param),
    },
    verb('/api/pull', (req, res, body) => ollama.pull(req, res, body)),
    verb('/api/push', (req, res, body) => ollama.push(req, res, body)),
    verb('/api/create', (req, res, body) => ollama.create(req, res, body)),
    verb('/api/copy', (req, res, body) => ollama.copy(req, res, body)),
    {
      methods: ['DELETE'],
      path: '/api/delete',
      handle: (req, res, body) => ollama.delete(req, res, body),
      guarded: true,
    },
    {
      methods: ['HEAD', 'POST'],
      path: '/api/blobs/:param',
      handle: (req, res, _body, param) => ollama.blob(req, res, param),
      guarded: true,
      streamed: true,
    },
    verb('/api/me', any),
    verb('/api/signout', any),
    { methods: ['DELETE'], path: '/api/user/keys/:param', handle: any, guarded: true },
    verb('/api/experimental/web_search', any),
    verb('/api/experimental/web_fetch', any),
    { methods: ['GET'], path: '/api/experimental/model-recommendations', handle: any },
  ]
}

function find(routes: readonly Route[], path: string): readonly Route[] {
  return routes.filter(route => {
    if (!route.path.endsWith('/:param')) return route.path === path
    const prefix = route.path.slice(0, -':param'.length)
    const rest = path.slice(prefix.length)
    return path.startsWith(prefix) && rest !== '' && !rest.includes('/')
  })
}

/** What gin and Go's mux say of paths they do not know, of the wrong method, and of a slash too many. */
function notFound(req: IncomingMessage, res: ServerResponse, routes: readonly Route[]): void {
  const [path = '', query] = req.url!.split('?', 2)
  const tail = query === undefined ? '' : `?${query}`
  const plain = path.replace(/\/{2,}/g, '/')
  if (plain !== path) return redirect(req, res, 307, plain + tail)
  const methods = allowed(routes, path)
  if (methods.length > 0) {
    res.writeHead(405, { Allow: methods.join(', '), 'Content-Type': 'text/plain', 'Content-Length': 22 })
    res.end('405 method not allowed')
    return
  }
  const slashless = path.slice(0, -1)
  if (path.endsWith('/') && allowed(routes, slashless).includes(req.method as never)) {
    return redirect(req, res, req.method === 'GET' ? 301 : 307, slashless + tail)
  }
  res.writeHead(404, { 'Content-Type': 'text/plain', 'Content-Length': 18 })
  res.end('404 page not found')
}

function allowed(routes: readonly Route[], path: string): Route['methods'] {
  return find(routes, path).flatMap(({ methods }) => methods)
}

function redirect(req: IncomingMessage, res: ServerResponse, status: 301 | 307, to: string): void {
  const said = status === 301 ? 'Moved Permanently' : 'Temporary Redirect'
  const body =
    req.method === 'GET'
      ? `<a href="${to.replace(/[&"<>]/g, c => `&#${c.charCodeAt(0)};`)}">${said}</a>.\n\n`
      : ''
  res.writeHead(status, {
    ...(body !== '' && { 'Content-Type': 'text/html; charset=utf-8' }),
    Location: to,
    'Content-Length': Buffer.byteLength(body),
  })
  res.end(body)
}

/** A preflight; or OPTIONS from nowhere, which gin answers by the name it was called. */
function options(req: IncomingMessage, res: ServerResponse, cors: boolean, routes: readonly Route[]): void {
  const methods = allowed(routes, req.url!.split('?', 1)[0]!).join(', ')
  const allow = methods === '' ? {} : { Allow: methods }
  if (cors) {
    res.setHeader('Vary', ['Origin', 'Access-Control-Request-Method', 'Access-Control-Request-Headers'])
    res.writeHead(204, {
      'Access-Control-Allow-Headers': ALLOWED_HEADERS,
      'Access-Control-Allow-Methods': ALLOWED_METHODS,
      'Access-Control-Max-Age': '43200',
      ...allow,
    })
    res.end()
    return
  }
  const name = (req.headers.host ?? '').replace(/:\d+$/, '')
  if (/^localhost$|\.(localhost|local|internal)$/i.test(name)) {
    res.writeHead(204, allow)
    res.end()
    return
  }
  notFound(req, res, routes)
}

function distrust(req: IncomingMessage, res: ServerResponse): void {
  const message =
    'this house listens beyond its own machine, and only trusted addresses may do this; start it with --trust CIDR ' +
    `(QUIPU_TRUST) to trust yours, for example --trust ${req.socket.remoteAddress?.replace(/^::ffff:/, '')}/32`
  refuse(res, dialectOf(req.url!), { status: 403, message, code: 'house.untrusted' })
}

function answerError(
  error: unknown,
  { raw: req, log }: FastifyRequest,
  res: ServerResponse,
  { onBug }: ServerNeeds,
): void {
  const dialect = dialectOf(req.url!)
  if (error instanceof Refusal || error instanceof Failure) {
    const status = statuses[error.code] ?? 500
    if (error instanceof Failure) log.warn({ code: error.code, err: error }, error.message)
    return refuse(res, dialect, { status, message: error.message, code: error.code })
  }
  const { statusCode, code } = error as { statusCode?: number; code?: string }
  if (statusCode === 413) {
    const message = 'the request body is larger than this house takes; raise --body-max (QUIPU_BODY_MAX)'
    return refuse(res, dialect, {
      status: 413,
      message,
      code: 'request.too-large',
      headers: { Connection: 'close' },
    })
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const message = error instanceof Error ? error.message : String(code)
    return refuse(res, dialect, { status: statusCode, message, code: 'request.invalid' })
  }
  refuse(res, dialect, { status: 500, message: 'internal error; the house has said more on its stderr' })
  onBug(error)
}
