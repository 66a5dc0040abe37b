/** Checks 27, 39 and 44–47: embeddings. */
import type { Checks } from '../check.ts'
import { exactly, goJson, head, holds, JSON_UTF8, keys, object, refuses, same } from '../expect.ts'
import { without } from '../probe.ts'

export const embed: Checks = {
  27: {
    promise: 'the old embeddings route alone minds the case of a name',
    async run(server) {
      const model = server.embed.toUpperCase()
      const reply = await server.post('/api/embeddings', { model, prompt: 'hi' })
      refuses(`embeddings ${model}`, reply, 404, `model "${model}" not found, try pulling it first`)
    },
  },

  39: {
    promise: 'a completion model does not embed, in the words of its runner',
    async run(server) {
      await without(server, server.model, 'embedding')
      const reply = await server.post('/api/embed', { model: server.model, input: 'hi' })
      refuses('embed', reply, 501, 'This server does not support embeddings. Start it with `--embeddings`')
    },
  },

  44: {
    promise: 'embedding nothing gives no vectors',
    async run(server) {
      const nothing = goJson({ model: server.embed, embeddings: [] })
      for (const input of ['', [], undefined]) {
        const reply = await server.post('/api/embed', { model: server.embed, input })
        exactly(`embed ${JSON.stringify(input) ?? 'without input'}`, reply, 200, JSON_UTF8, nothing)
      }
    },
  },

  45: {
    promise: 'only a text or a list of texts can be embedded',
    async run(server) {
      for (const input of [5, [1]]) {
        const reply = await server.post('/api/embed', { model: server.embed, input })
        refuses(`embed ${JSON.stringify(input)}`, reply, 400, 'invalid input type')
      }
    },
  },

  46: {
    promise: 'a text longer than the context is refused when it may not be cut',
    async run(server) {
      const info = object('show', (await server.post('/api/show', { model: server.embed })).body)[
        'model_info'
      ]
      const context = Number(info?.[`${info['general.architecture']}.context_length`] ?? 0)
      const input = 'alpha '.repeat(context < 256 ? 300 : context + 64).trim()
      const reply = await server.post('/api/embed', { model: server.embed, input, truncate: false })
      refuses('a long text', reply, 400, 'the input length exceeds the context length')
      const cut = await server.post('/api/embed', { model: server.embed, input, dimensions: 1 })
      head('a long text that may be cut', cut, 200, { 'content-type': JSON_UTF8 })
    },
  },

  47: {
    promise: 'vectors cut to fewer dimensions still have length one',
    async run(server) {
      const reply = await server.post('/api/embed', {
        model: server.embed,
        input: ['one', 'two'],
        dimensions: 2,
      })
      head('embed', reply, 200, { 'content-type': JSON_UTF8 })
      const answer = object('embed', reply.body)
      const numbers = ['total_duration', 'load_duration', 'prompt_eval_count']
      keys('embed', answer, ['model', 'embeddings', ...numbers], numbers)
      same('embed: vectors', answer['embeddings'].length, 2)
      for (const vector of answer['embeddings']) {
        same('embed: dimensions', vector.length, 2)
        const norm = Math.hypot(...vector)
        holds('embed: norm', norm, Math.abs(norm - 1) < 1e-3, '1')
      }
    },
  },
}
