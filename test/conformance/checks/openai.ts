/** Checks 51–57: the compatibility with OpenAI. (/v1/models is in catalog.ts.) */
import type { Checks } from '../check.ts'
import { EVENTS, events, head, holds, JSON_BARE, keys, object, refusesOpenAi, same } from '../expect.ts'

const HELLO = [{ role: 'user', content: 'hello' }]

export const openai: Checks = {
  51: {
    promise: 'a streamed chat has the role once, then the finish, then the usage, then [DONE]',
    async run(server) {
      const reply = await server.post('/v1/chat/completions', {
        model: server.model,
        messages: HELLO,
        max_tokens: 3,
        stream: true,
        stream_options: { include_usage: true },
      })
      head('v1 chat', reply, 200, { 'content-type': EVENTS, 'content-length': null, 'cache-control': null })
      same('v1 chat: chunked', reply.chunked, true)
      const frames = events('v1 chat', reply)
      for (const frame of frames) same('v1 chat: event', frame.event ?? null, null)
      same('v1 chat: last frame', frames.pop()?.data, '[DONE]')
      const chunks = frames.map(({ data }, i) => object(`v1 chat: frame ${i}`, data))
      const names = ['id', 'object', 'created', 'model', 'system_fingerprint', 'choices', 'usage']
      for (const [i, chunk] of chunks.entries()) {
        keys(`v1 chat: frame ${i}`, chunk, names, ['usage'])
        holds('v1 chat: id', chunk['id'], /^chatcmpl-\d{1,3}$/)
        same('v1 chat: id stays', chunk['id'], chunks[0]!['id'])
        same('v1 chat: object', chunk['object'], 'chat.completion.chunk')
        same('v1 chat: model', chunk['model'], server.model)
        same('v1 chat: system_fingerprint', chunk['system_fingerprint'], 'fp_ollama')
      }

      const usage = chunks.pop()
      same('v1 chat: choices of the usage', usage?.['choices'], [])
      keys('v1 chat: usage', usage?.['usage'] ?? {}, ['prompt_tokens', 'completion_tokens', 'total_tokens'])
      same('v1 chat: completion_tokens', usage?.['usage'].completion_tokens, 3)
      const finish = chunks.pop()
      same('v1 chat: finish', finish?.['choices'], [{ index: 0, delta: {}, finish_reason: 'length' }])
      holds('v1 chat: deltas', chunks.length, chunks.length > 0, 'at least one')
      for (const [i, { choices }] of chunks.entries()) {
        keys('v1 chat: choice', choices[0], ['index', 'delta', 'finish_reason'])
        keys(`v1 chat: delta ${i}`, choices[0].delta, i === 0 ? ['role', 'content'] : ['content'])
        same('v1 chat: finish_reason', choices[0].finish_reason, null)
      }
    },
  },

  52: {
    promise: 'an empty body is EOF, in the shape of OpenAI',
    async run(server) {
      refusesOpenAi('v1 chat, empty', await server.post('/v1/chat/completions'), 400, 'EOF')
    },
  },

  53: {
    promise: 'a chat without messages is too short',
    async run(server) {
      const reply = await server.post('/v1/chat/completions', { model: server.model })
      refusesOpenAi('v1 chat without messages', reply, 400, "[] is too short - 'messages'")
    },
  },

  54: {
    promise: 'max_tokens counts, max_completion_tokens does not',
    async run(server) {
      const reply = await server.post('/v1/chat/completions', {
        model: server.model,
        messages: HELLO,
        max_completion_tokens: 2,
        max_tokens: 1,
      })
      head('v1 chat', reply, 200, { 'content-type': JSON_BARE })
      holds('v1 chat: end', reply.body.slice(-40), reply.body.endsWith('}\n'), 'a newline at the end')
      const answer = object('v1 chat', reply.body)
      keys('v1 chat', answer, ['id', 'object', 'created', 'model', 'system_fingerprint', 'choices', 'usage'])
      same('v1 chat: object', answer['object'], 'chat.completion')
      same('v1 chat: completion_tokens', answer['usage'].completion_tokens, 1)
      same('v1 chat: finish_reason', answer['choices'][0].finish_reason, 'length')
    },
  },

  55: {
    promise: 'the prompt of a completion is one text',
    async run(server) {
      const reply = await server.post('/v1/completions', { model: server.model, prompt: ['a'] })
      const text = 'json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string'
      refusesOpenAi('v1 completions', reply, 400, text)
    },
  },

  56: {
    promise: 'embeddings come in base 64 when asked for, and in no third way',
    async run(server) {
      const ask = { model: server.embed, input: 'hello' }
      const plain = await server.post('/v1/embeddings', ask)
      const reply = await server.post('/v1/embeddings', { ...ask, encoding_format: 'base64' })
      head('v1 embeddings', reply, 200, { 'content-type': JSON_BARE })
      const answer = object('v1 embeddings', reply.body)
      keys('v1 embeddings', answer, ['object', 'data', 'model', 'usage'])
      const [packed, numbers] = [answer, object('v1 embeddings', plain.body)].map(
        one => one['data'][0].embedding,
      )
      const bytes = Buffer.from(String(packed), 'base64')
      same('v1 embeddings: four bytes a number', bytes.length, 4 * numbers.length)
      const far = numbers.findIndex((x: number, i: number) => Math.abs(x - bytes.readFloatLE(4 * i)) > 1e-3)
      same('v1 embeddings: first number that differs', far, -1)

      const hex = await server.post('/v1/embeddings', { ...ask, encoding_format: 'hex' })
      const text = "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64']."
      refusesOpenAi('v1 embeddings, hex', hex, 400, text)
    },
  },

  57: {
    promise: 'a streamed response has its nine kinds of events in order, numbered, and no [DONE]',
    async run(server) {
      const reply = await server.post('/v1/responses', {
        model: server.model,
        input: 'hello',
        max_output_tokens: 2,
        stream: true,
      })
      head('v1 responses', reply, 200, {
        'content-type': EVENTS,
        'cache-control': 'no-cache',
        connection: 'keep-alive',
      })
      const frames = events('v1 responses', reply)
      const kinds = frames.map(frame => frame.event)
      same(
        'v1 responses: events',
        kinds.filter((kind, i) => kind !== kinds[i - 1] || kind !== 'response.output_text.delta'),
        [
          'response.created',
          'response.in_progress',
          'response.output_item.added',
          'response.content_part.added',
          'response.output_text.delta',
          'response.output_text.done',
          'response.content_part.done',
          'response.output_item.done',
          'response.completed',
        ],
      )
      for (const [i, { event, data }] of frames.entries()) {
        const body = object(`v1 responses: ${event}`, data)
        same(`v1 responses: type of ${event}`, body['type'], event)
        same(`v1 responses: number of ${event}`, body['sequence_number'], i)
      }
    },
  },
}
