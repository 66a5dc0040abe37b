/** Every path of Ollama 0.33 with its methods, and how a path that is not quite one of them is answered. */
import * as account from './account.ts'
import { messagesRoute } from './anthropic.ts'
import { transcriptionsRoute } from './audio.ts'
import { headBlobRoute, postBlobRoute } from './blobs.ts'
import { createRoute } from './create.ts'
import type { Exchange } from './exchange.ts'
import * as library from './library.ts'
import { modelRoute, modelsRoute } from './models.ts'
import * as native from './native.ts'
import type { SimNode } from './node.ts'
import * as openai from './openai.ts'
import { responsesRoute } from './responses.ts'
import { embeddingsV1Route } from './vectors.ts'

export type Handler = (node: SimNode, x: Exchange) => void | Promise<void>
type Methods = Partial<Record<'HEAD' | 'GET' | 'POST' | 'DELETE', Handler>>

/** A path may end in one changing part, `:digest`. */
export const ROUTES: Readonly<Record<string, Methods>> = {
  '/': { HEAD: account.rootRoute, GET: account.rootRoute },
  '/api/version': { HEAD: account.versionRoute, GET: account.versionRoute },
  '/api/status': { GET: account.statusRoute },
  '/api/tags': { HEAD: library.tagsRoute, GET: library.tagsRoute },
  '/api/ps': { GET: library.psRoute },
  '/api/show': { POST: library.showRoute },
  '/api/generate': { POST: native.generateRoute },
  '/api/chat': { POST: native.chatRoute },
  '/api/embed': { POST: native.embedRoute },
  '/api/embeddings': { POST: native.embeddingsRoute },
  '/api/pull': { POST: library.pullRoute },
  '/api/push': { POST: library.pushRoute },
  '/api/create': { POST: createRoute },
  '/api/copy': { POST: library.copyRoute },
  '/api/delete': { DELETE: library.deleteRoute },
  '/api/blobs/:digest': { HEAD: headBlobRoute, POST: postBlobRoute },
  '/api/me': { POST: account.meRoute },
  '/api/signout': { POST: account.signoutRoute },
  '/api/user/keys/:encodedKey': { DELETE: account.signoutRoute },
  '/api/experimental/web_search': { POST: account.webSearchRoute },
  '/api/experimental/web_fetch': { POST: account.webFetchRoute },
  '/api/experimental/model-recommendations': { GET: account.recommendationsRoute },
  '/v1/chat/completions': { POST: openai.chatCompletionsRoute },
  '/v1/completions': { POST: openai.completionsRoute },
  '/v1/embeddings': { POST: embeddingsV1Route },
  '/v1/models': { GET: modelsRoute },
  '/v1/models/:model': { GET: modelRoute },
  '/v1/responses': { POST: responsesRoute },
  '/v1/audio/transcriptions': { POST: transcriptionsRoute },
  '/v1/messages': { POST: messagesRoute },
}

/** Where a model works. These are counted as in flight, and go wrong when a node does. */
export const INFERENCE: ReadonlySet<string> = new Set([
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
])

/** What to do with a method and a path. */
export type Way =
  | { readonly to: 'handler'; readonly route: string; readonly handler: Handler; readonly param: string }
  | { readonly to: 'redirect'; readonly status: 301 | 307; readonly location: string }
  | { readonly to: 'refusal'; readonly status: 404 | 405; readonly allow: string | undefined }

const ABSENT: Way = { to: 'refusal', status: 404, allow: undefined }

export function wayTo(method: string, url: string): Way {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const query = mark < 0 ? '' : url.slice(mark)
  const clean = path.includes('//') || path.includes('/.') ? cleaned(path) : path
  // Go's mux tidies a path before anyone else sees it.
  if (clean !== path) return { to: 'redirect', status: 307, location: clean + query }
  const found = match(path)
  const handler = found?.methods[method as keyof Methods]
  if (handler !== undefined) return { to: 'handler', route: found!.route, handler, param: found!.param }
  if (path.endsWith('/') && path !== '/') {
    const shorter = path.slice(0, -1)
    if (match(shorter)?.methods[method as keyof Methods] !== undefined)
      return { to: 'redirect', status: method === 'GET' ? 301 : 307, location: shorter + query }
  }
  if (found === undefined) return ABSENT
  return { to: 'refusal', status: 405, allow: Object.keys(found.methods).join(', ') }
}

interface Match {
  readonly route: string
  readonly methods: Methods
  readonly param: string
}

const FIXED = new Map<string, Match>()
const CHANGING: { prefix: string; route: string; methods: Methods }[] = []
for (const [route, methods] of Object.entries(ROUTES)) {
  const colon = route.indexOf(':')
  if (colon < 0) FIXED.set(route, { route, methods, param: '' })
  else CHANGING.push({ prefix: route.slice(0, colon), route, methods })
}

function match(path: string): Match | undefined {
  const fixed = FIXED.get(path)
  if (fixed !== undefined) return fixed
  const decoded = path.includes('%') ? decode(path) : path
  if (decoded !== path && FIXED.has(decoded)) return FIXED.get(decoded)
  for (const { prefix, route, methods } of CHANGING) {
    const param = decoded.startsWith(prefix) ? decoded.slice(prefix.length) : ''
    if (param !== '' && !param.includes('/')) return { route, methods, param }
  }
  return undefined
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Go's path.Clean, but for a slash at the end, which stays. */
function cleaned(path: string): string {
  const kept: string[] = []
  for (const step of path.split('/'))
    if (step === '..') kept.pop()
    else if (step !== '' && step !== '.') kept.push(step)
  const end = path.endsWith('/') && kept.length > 0 ? '/' : ''
  return `/${kept.join('/')}${end}`
}
