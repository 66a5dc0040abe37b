/**
 * Every path of Ollama 0.33 that the house answers for, and what gin and Go's mux say of paths that are not quite one of
 * them. Matched here and not by Fastify, which would read some paths otherwise than the nodes do.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { answer } from './answer.ts'
import type { Bodies } from './body.ts'
import type { Inference } from './inference.ts'
import type { OllamaApi } from './ollama.ts'
import type { Visit } from './visit.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'DELETE'

export interface Route {
  /** In the order Ollama's Allow header has them. */
  readonly methods: readonly Method[]
  /** May end in one changing part, `:param`. */
  readonly path: string
  readonly handle: (visit: Visit, bodies: Bodies) => void | Promise<void>
  /** `inference`: up to the limit the house is given. `verb`: a list of files at most. `streamed`: without limit. */
  readonly body?: 'inference' | 'verb' | 'streamed'
  /** Changes models or accounts: only for the trusted, where the house listens beyond this machine. */
  readonly guarded?: true
  /** A node would take a model from the query, where nobody else looks. */
  readonly queryless?: true
  /** Leaves a fact, so it is not begun while none can be written. */
  readonly recorded?: true
}

/** Questions to a model: what waits in the queue, and what a job may ask. */
export const INFERENCE = [
  '/api/generate',
  '/api/chat',
  '/api/embed',
  '/api/embeddings',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/audio/transcriptions',
  '/v1/messages',
] as const

export function table({
  inference,
  ollama,
}: {
  readonly inference: Inference
  readonly ollama: OllamaApi
}): readonly Route[] {
  const get = (path: string, handle: Route['handle'], ...more: Method[]): Route => ({
    methods: [...more, 'GET'],
    path,
    handle,
  })
  const infer = (path: string): Route => ({
    methods: ['POST'],
    path,
    handle: visit => inference.handle(visit),
    body: 'inference',
    ...(path === '/v1/audio/transcriptions' && { queryless: true }),
  })
  const own = (method: Method, path: string, handle: Route['handle']): Route => ({
    methods: [method],
    path,
    handle,
    body: 'verb',
    guarded: true,
  })
  const verb = (method: Method, path: string, handle: Route['handle']): Route => ({
    ...own(method, path, handle),
    recorded: true,
  })
  return [
    get('/', visit => ollama.root(visit), 'HEAD'),
    get('/api/version', visit => ollama.version(visit), 'HEAD'),
    get('/api/status', visit => ollama.status(visit)),
    get('/api/tags', visit => ollama.tags(visit), 'HEAD'),
    get('/api/ps', visit => ollama.ps(visit)),
    { methods: ['POST'], path: '/api/show', handle: visit => ollama.show(visit), body: 'verb' },
    ...INFERENCE.map(infer),
    get('/v1/models', visit => ollama.models(visit)),
    get('/v1/models/:param', visit => ollama.model(visit)),
    verb('POST', '/api/pull', visit => ollama.verbs.pull(visit)),
    verb('POST', '/api/push', visit => ollama.verbs.push(visit)),
    verb('POST', '/api/create', visit => ollama.verbs.create(visit)),
    verb('POST', '/api/copy', visit => ollama.verbs.copy(visit)),
    verb('DELETE', '/api/delete', visit => ollama.verbs.delete(visit)),
    {
      methods: ['HEAD', 'POST'],
      path: '/api/blobs/:param',
      handle: (visit, bodies) => ollama.verbs.blob(visit, bodies),
      body: 'streamed',
      guarded: true,
    },
    own('POST', '/api/me', visit => ollama.account(visit)),
    own('POST', '/api/signout', visit => ollama.account(visit)),
    own('DELETE', '/api/user/keys/:param', visit => ollama.account(visit)),
    own('POST', '/api/experimental/web_search', visit => ollama.web(visit, 'search')),
    own('POST', '/api/experimental/web_fetch', visit => ollama.web(visit, 'fetch')),
    get('/api/experimental/model-recommendations', visit => ollama.any(visit)),
  ]
}

export interface Found {
  readonly route: Route
  readonly param: string
  /** Path and query for a node. */
  readonly target: string
}

/** By the decoded path, as gin does. */
export function find(routes: readonly Route[], url: string): Found | undefined {
  const [raw = '', query] = cut(url)
  const path = decoded(raw)
  const tail = query === undefined ? '' : `?${query}`
  for (const route of routes) {
    if (!route.path.endsWith('/:param')) {
      if (route.path === path) return { route, param: '', target: path + (route.queryless ? '' : tail) }
      continue
    }
    const prefix = route.path.slice(0, -':param'.length)
    const param = path.slice(prefix.length)
    if (!path.startsWith(prefix) || param === '' || param.includes('/')) continue
    return { route, param, target: prefix + encodeURIComponent(param) + tail }
  }
  return undefined
}

/** The answer to a path, or a method, that leads nowhere. */
export function notFound(req: IncomingMessage, res: ServerResponse, routes: readonly Route[]): void {
  const [path = '', query] = cut(req.url!)
  const tail = query === undefined ? '' : `?${query}`
  const tidy = /\/\/|\/\.\.?(\/|$)/.test(path) ? tidied(path) : path
  if (tidy !== path) return redirect(req, res, 307, tidy + tail)
  const methods = find(routes, path)?.route.methods
  if (methods !== undefined) {
    const headers = { Allow: methods.join(', '), 'Content-Type': 'text/plain' }
    return answer(res, 405, headers, '405 method not allowed')
  }
  const slashless = path.slice(0, -1)
  const meant = path.endsWith('/') && slashless !== '' ? find(routes, slashless) : undefined
  if (meant?.route.methods.includes(req.method as Method)) {
    return redirect(req, res, req.method === 'GET' ? 301 : 307, slashless + tail)
  }
  answer(res, 404, { 'Content-Type': 'text/plain' }, '404 page not found')
}

function cut(url: string): readonly [path: string, query?: string] {
  const mark = url.indexOf('?')
  return mark < 0 ? [url] : [url.slice(0, mark), url.slice(mark + 1)]
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Go's path.Clean, but for a slash at the end, which stays. */
function tidied(path: string): string {
  const kept: string[] = []
  for (const step of path.split('/')) {
    if (step === '..') kept.pop()
    else if (step !== '' && step !== '.') kept.push(step)
  }
  return `/${kept.join('/')}${path.endsWith('/') && kept.length > 0 ? '/' : ''}`
}

function redirect(req: IncomingMessage, res: ServerResponse, status: 301 | 307, to: string): void {
  if (req.method !== 'GET') return answer(res, status, { Location: to })
  const said = status === 301 ? 'Moved Permanently' : 'Temporary Redirect'
  const shown = to.replace(/[&<>"']/g, c => ESCAPES[c]!)
  const headers = { 'Content-Type': 'text/html; charset=utf-8', Location: to }
  answer(res, status, headers, `<a href="${shown}">${said}</a>.\n\n`)
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
}
