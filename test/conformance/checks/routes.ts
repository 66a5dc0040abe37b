/** Checks 1–11 and 60: the routes themselves, wrong verbs, unknown paths, stray slashes. */
import type { Checks } from '../check.ts'
import { exactly, head, holds, JSON_UTF8, same, TEXT } from '../expect.ts'

const NO_PAGE = '404 page not found'
const NO_METHOD = '405 method not allowed'

export const routes: Checks = {
  1: {
    promise: 'GET / says that Ollama is running',
    async run(server) {
      exactly('GET /', await server.get('/'), 200, 'text/plain; charset=utf-8', 'Ollama is running')
    },
  },

  2: {
    promise: 'HEAD / has the length of the page and no body',
    async run(server) {
      const { status, headers, body } = split(await server.bytes('HEAD', '/'))
      same('HEAD /: status', status, 200)
      same('HEAD /: Content-Length', headers['content-length'], '17')
      same('HEAD /: body', body, '')
    },
  },

  3: {
    promise: 'GET /api/version names a version',
    async run(server) {
      const reply = await server.get('/api/version')
      head('GET /api/version', reply, 200, { 'content-type': JSON_UTF8 })
      holds('GET /api/version: body', reply.body, /^\{"version":"[^"]+"\}$/)
    },
  },

  4: {
    promise: 'HEAD of /api/version and /api/tags has the length of the GET and no body',
    async run(server) {
      for (const path of ['/api/version', '/api/tags']) {
        const whole = await server.get(path)
        const { status, headers, body } = split(await server.bytes('HEAD', path))
        same(`HEAD ${path}: status`, status, 200)
        same(`HEAD ${path}: Content-Type`, headers['content-type'], JSON_UTF8)
        same(`HEAD ${path}: Content-Length`, headers['content-length'], whole.headers['content-length'])
        same(`HEAD ${path}: body`, body, '')
      }
    },
  },

  5: {
    promise: 'HEAD of /api/ps and /v1/models is not allowed',
    async run(server) {
      for (const path of ['/api/ps', '/v1/models']) {
        const { status, headers, body } = split(await server.bytes('HEAD', path))
        same(`HEAD ${path}: status`, status, 405)
        same(`HEAD ${path}: Allow`, headers['allow'], 'GET')
        same(`HEAD ${path}: body`, body, '')
      }
    },
  },

  6: {
    promise: 'GET /api/generate is not allowed',
    async run(server) {
      const reply = await server.get('/api/generate')
      exactly('GET /api/generate', reply, 405, TEXT, NO_METHOD, { allow: 'POST' })
    },
  },

  7: {
    promise: 'DELETE /api/tags is not allowed',
    async run(server) {
      const reply = await server.ask({ method: 'DELETE', path: '/api/tags' })
      exactly('DELETE /api/tags', reply, 405, TEXT, NO_METHOD, { allow: 'HEAD, GET' })
    },
  },

  8: {
    promise: 'an unknown path is not found',
    async run(server) {
      exactly('GET /api/nope', await server.get('/api/nope'), 404, TEXT, NO_PAGE)
    },
  },

  9: {
    promise: 'GET with a slash too many at the end moves to the path without',
    async run(server) {
      const page = '<a href="/api/tags">Moved Permanently</a>.\n\n'
      exactly('GET /api/tags/', await server.get('/api/tags/'), 301, 'text/html; charset=utf-8', page, {
        location: '/api/tags',
      })
    },
  },

  10: {
    promise: 'POST with a slash too many at the end is sent to the path without, body and all',
    async run(server) {
      const reply = await server.post('/api/generate/', { model: server.absent })
      exactly('POST /api/generate/', reply, 307, null, '', { location: '/api/generate' })
    },
  },

  11: {
    promise: 'a doubled slash is sent to the clean path',
    async run(server) {
      head('GET //api/tags', await server.get('//api/tags'), 307, { location: '/api/tags' })
    },
  },

  60: {
    promise: 'routes of OpenAI and Anthropic that Ollama lacks are not found',
    async run(server) {
      for (const path of ['/v1/messages/count_tokens', '/v1/images/generations'])
        exactly(`POST ${path}`, await server.post(path, { model: server.model }), 404, TEXT, NO_PAGE)
    },
  },
}

/** Takes the bytes of a reply apart by hand, to see a body where none may be. */
function split(bytes: string): { status: number; headers: Record<string, string>; body: string } {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...rest] = bytes.slice(0, end).split('\r\n')
  const headers = rest.map(line => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 1),
  ])
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(headers.map(([name, value]) => [name, value!.trim()])),
    body: bytes.slice(end + 4),
  }
}
