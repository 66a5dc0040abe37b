/** Checks 14–25, 42 and 74: requests with something wrong or odd in them, and Go's own words about it. */
import { gzipSync } from 'node:zlib'
import type { Checks } from '../check.ts'
import { head, JSON_UTF8, object, refuses, same } from '../expect.ts'
import { displayName } from '../probe.ts'

export const mistakes: Checks = {
  14: {
    promise: 'generate without a model looks for the empty name',
    async run(server) {
      refuses('generate {}', await server.post('/api/generate', {}), 404, "model '' not found")
    },
  },

  15: {
    promise: 'chat without a model wants one',
    async run(server) {
      refuses('chat {}', await server.post('/api/chat', {}), 400, 'model is required')
    },
  },

  16: {
    promise: 'embed without a model looks for the empty name, embeddings wants one',
    async run(server) {
      refuses('embed {}', await server.post('/api/embed', {}), 404, "model '' not found")
      refuses('embeddings {}', await server.post('/api/embeddings', {}), 400, 'model is required')
    },
  },

  17: {
    promise: 'an empty body is missed on every native route that wants one',
    async run(server) {
      for (const route of [
        'generate',
        'chat',
        'embed',
        'embeddings',
        'show',
        'pull',
        'push',
        'create',
        'copy',
      ])
        refuses(`empty ${route}`, await server.post(`/api/${route}`), 400, 'missing request body')
      const reply = await server.ask({ method: 'DELETE', path: '/api/delete' })
      refuses('empty delete', reply, 400, 'missing request body')
    },
  },

  18: {
    promise: 'a key without quotes is named by its first letter',
    async run(server) {
      const reply = await server.post('/api/generate', '{bad')
      refuses('generate {bad', reply, 400, "invalid character 'b' looking for beginning of object key string")
    },
  },

  19: {
    promise: 'JSON cut short is an unexpected EOF',
    async run(server) {
      const reply = await server.post('/api/generate', '{"model":"x"')
      refuses('generate {"model":"x"', reply, 400, 'unexpected EOF')
    },
  },

  20: {
    promise: 'a field of the wrong type is named as Go names it',
    async run(server) {
      const text = 'json: cannot unmarshal number into Go struct field GenerateRequest.model of type string'
      refuses('generate {"model":1}', await server.post('/api/generate', { model: 1 }), 400, text)
    },
  },

  21: {
    promise: 'generate of an unknown model repeats the name as it was sent',
    async run(server) {
      const reply = await server.post('/api/generate', { model: server.absent, prompt: 'hi' })
      refuses(`generate ${server.absent}`, reply, 404, `model '${server.absent}' not found`)
    },
  },

  22: {
    promise: 'embed of an unknown model suggests to pull it',
    async run(server) {
      const reply = await server.post('/api/embed', { model: server.absent, input: 'hi' })
      refuses(
        `embed ${server.absent}`,
        reply,
        404,
        `model "${server.absent}" not found, try pulling it first`,
      )
    },
  },

  23: {
    promise: 'show of an unknown model adds the tag to its name',
    async run(server) {
      const reply = await server.post('/api/show', { model: server.absent })
      refuses(`show ${server.absent}`, reply, 404, `model '${displayName(server.absent)}' not found`)
    },
  },

  24: {
    promise: 'field names may be in capitals, and what follows the JSON is ignored',
    async run(server) {
      const capitals = await server.post('/api/show', { MODEL: server.model })
      head('show {"MODEL":…}', capitals, 200, { 'content-type': JSON_UTF8 })
      const junk = await server.post('/api/show', `${JSON.stringify({ model: server.model })}junk`)
      head('show {"model":…}junk', junk, 200, { 'content-type': JSON_UTF8 })
      same('modelfile', object('show', junk.body)['modelfile'], object('show', capitals.body)['modelfile'])
    },
  },

  25: {
    promise: 'generate does not know the old field `name`',
    async run(server) {
      const reply = await server.post('/api/generate', { name: server.model })
      refuses('generate {"name":…}', reply, 404, "model '' not found")
    },
  },

  42: {
    promise: 'a keep_alive that is no duration is explained',
    async run(server) {
      for (const [value, text] of [
        ['abc', 'time: invalid duration "abc"'],
        ['10', 'time: missing unit in duration "10"'],
        [true, "Unsupported type: 'bool'"],
      ] as const) {
        const reply = await server.post('/api/generate', { model: server.model, keep_alive: value })
        refuses(`keep_alive ${JSON.stringify(value)}`, reply, 400, text)
      }
    },
  },

  74: {
    promise: 'a gzipped body is not understood',
    async run(server) {
      const reply = await server.ask({
        method: 'POST',
        path: '/api/generate',
        body: gzipSync(JSON.stringify({ model: server.model, prompt: 'hi', stream: false })),
        headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
      })
      refuses('gzipped generate', reply, 400, "invalid character '\\x1f' looking for beginning of value")
    },
  },
}
