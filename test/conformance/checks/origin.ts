/** Checks 67 and 68: browsers from elsewhere, and models that live in somebody's cloud. */
import type { Checks } from '../check.ts'
import { exactly, head, holds, object, refuses, Skip, same } from '../expect.ts'

export const origin: Checks = {
  67: {
    promise: 'a web page may ask if it is local, others get an empty 403',
    async run(server) {
      for (const origin of ['http://evil.example', 'null', 'chrome-extension://abc'])
        exactly(`Origin ${origin}`, await server.get('/api/version', { origin }), 403, null, '', {
          'access-control-allow-origin': null,
        })

      for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'vscode-webview://abc'])
        head(`Origin ${origin}`, await server.get('/api/version', { origin }), 200, {
          'access-control-allow-origin': origin,
          vary: 'Origin',
        })

      const own = await server.get('/api/version', { origin: new URL(server.url).origin })
      head('Origin = Host', own, 200, { 'access-control-allow-origin': null, vary: null })

      const preflight = await server.ask({
        method: 'OPTIONS',
        path: '/api/chat',
        headers: {
          origin: 'http://localhost:3000',
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type',
        },
      })
      head('preflight', preflight, 204, {
        'access-control-allow-origin': 'http://localhost:3000',
        'access-control-allow-methods': 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS',
        'access-control-max-age': '43200',
      })
      const allowed = preflight.headers['access-control-allow-headers'] ?? ''
      for (const name of [
        'Authorization',
        'Content-Type',
        'User-Agent',
        'Openai-Beta',
        'X-Stainless-Timeout',
      ])
        holds('preflight: headers', allowed, allowed.split(',').includes(name), `${name} among them`)
      same('preflight: body', preflight.body, '')

      const refused = await server.ask({
        method: 'OPTIONS',
        path: '/api/chat',
        headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
      })
      head('preflight from elsewhere', refused, 403, { 'access-control-allow-origin': null })
      same('preflight from elsewhere: body', refused.body, '')
    },
  },

  68: {
    promise: 'with the cloud off its models are forbidden, in native words even on /v1',
    async run(server) {
      const status = object('GET /api/status', (await server.get('/api/status')).body)
      if (status['cloud']?.disabled !== true) throw new Skip('the cloud is not turned off here')
      const text = 'ollama cloud is disabled: remote model is unavailable'
      const messages = [{ role: 'user', content: 'hello' }]
      const model = `${server.absent}:cloud`
      refuses('generate x:cloud', await server.post('/api/generate', { model, prompt: 'hi' }), 403, text)
      refuses('v1 chat x:cloud', await server.post('/v1/chat/completions', { model, messages }), 403, text)
    },
  },
}
