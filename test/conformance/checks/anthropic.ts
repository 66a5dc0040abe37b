/** Checks 58 and 59: the compatibility with Anthropic. */
import type { Checks } from '../check.ts'
import { EVENTS, events, head, holds, keys, object, refusesAnthropic, same } from '../expect.ts'

const HELLO = [{ role: 'user', content: 'hello' }]

export const anthropic: Checks = {
  58: {
    promise: 'a streamed message starts, has one block, tells its usage and stops',
    async run(server) {
      const ask = { model: server.model, max_tokens: 2, messages: HELLO, stream: true }
      const reply = await server.post('/v1/messages', ask)
      head('messages', reply, 200, {
        'content-type': EVENTS,
        'cache-control': 'no-cache',
        connection: 'keep-alive',
      })
      const frames = events('messages', reply)
      const kinds = frames.map(frame => frame.event)
      same(
        'messages: events',
        kinds.filter((kind, i) => kind !== kinds[i - 1] || kind !== 'content_block_delta'),
        [
          'message_start',
          'content_block_start',
          'content_block_delta',
          'content_block_stop',
          'message_delta',
          'message_stop',
        ],
      )
      for (const { event, data } of frames)
        same(`messages: type of ${event}`, object(`messages: ${event}`, data)['type'], event)
      const { message } = object('messages', frames[0]!.data)
      keys('messages: message', message, ['id', 'type', 'role', 'model', 'content', 'usage'])
      holds('messages: id', message.id, /^msg_[0-9a-f]{24}$/)
      const delta = object('messages', frames.at(-2)!.data)
      same('messages: delta', delta['delta'], { stop_reason: 'max_tokens' })
      same('messages: output_tokens', delta['usage']?.output_tokens, 2)

      const text = `model '${server.absent}' not found`
      for (const stream of [true, false]) {
        const absent = await server.post('/v1/messages', { ...ask, model: server.absent, stream })
        const what = `messages, unknown model${stream ? ', streaming' : ''}`
        refusesAnthropic(what, absent, 404, 'not_found_error', text, { late: true })
      }
    },
  },

  59: {
    promise: 'a message without max_tokens is refused',
    async run(server) {
      const reply = await server.post('/v1/messages', { model: server.model, messages: HELLO })
      const text = 'max_tokens is required and must be positive'
      refusesAnthropic('messages without max_tokens', reply, 400, 'invalid_request_error', text)
    },
  },
}
