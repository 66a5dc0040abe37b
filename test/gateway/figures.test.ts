/** What the last bytes of an answer tell. */
import t from 'tap'
import { readFigures } from '../../src/gateway/figures.ts'

const NDJSON = 'application/x-ndjson'
const SSE = 'text/event-stream'
const read = (path: string, text: string, contentType = 'application/json', status = 200) =>
  readFigures(path, { status, contentType, bytes: text.length, chunks: 1, tail: Buffer.from(text) })

t.test('native figures: tokens, and nanoseconds as milliseconds', async t => {
  const end =
    '{"model":"m","response":"","done":true,"done_reason":"stop","context":[1,2,3],"total_duration":5025959,' +
    '"load_duration":4383083,"prompt_eval_count":26,"prompt_eval_duration":130079000,"eval_count":259,"eval_duration":4232710000}\n'
  const figures = {
    promptTokens: 26,
    outputTokens: 259,
    loadMs: 4.38,
    promptMs: 130.08,
    outputMs: 4232.71,
    doneReason: 'stop',
  }
  t.same(read('/api/generate', end), { figures })
  t.same(read('/api/generate', `{"response":"x","done":false}\n${end}`, NDJSON), { figures })
  t.same(read('/api/embed', '{"embeddings":[[0.1]],"load_duration":1000000,"prompt_eval_count":3}').figures, {
    loadMs: 1,
    promptTokens: 3,
  })
})

t.test('OpenAI and Anthropic figures: the last ones said count', async t => {
  t.same(
    read(
      '/v1/chat/completions',
      '{"choices":[{"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}',
    ).figures,
    { promptTokens: 5, outputTokens: 7, doneReason: 'length' },
  )
  const messages =
    'event: message_start\ndata: {"message":{"usage":{"input_tokens":1,"output_tokens":0}}}\n\n' +
    'event: message_delta\ndata: {"delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":9,"output_tokens":4}}\n\n' +
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
  t.same(read('/v1/messages', messages, SSE), {
    figures: { promptTokens: 9, outputTokens: 4, doneReason: 'end_turn' },
  })
})

t.test('a model cannot talk figures into being', async t => {
  const said = JSON.stringify('"eval_count":1,"done_reason":"stop","done":true')
  t.same(read('/api/generate', `{"response":${said},"done":false}\n`).figures, {})
  const call =
    '{"message":{"tool_calls":[{"function":{"arguments":{"eval_count":99,"load_duration":9}}}]},"done":true,'
  t.same(read('/api/chat', `${call}"done_reason":"stop","load_duration":1000000}`).figures, {
    loadMs: 1,
    doneReason: 'stop',
  })
})

t.test('numbers that are none, or too large to be any, are left out', async t => {
  t.same(read('/v1/chat/completions', '{"prompt_tokens":-1,"completion_tokens":"5"}').figures, {})
  t.same(read('/v1/chat/completions', `{"prompt_tokens":${'9'.repeat(30)}}`).figures, {})
  t.same(read('/v1/chat/completions', '').figures, {})
})

t.test('an error line at the end of a native stream is trouble', async t => {
  t.equal(read('/api/chat', '{"done":false}\n{"error":"it broke"}\n', NDJSON).trouble, 'error-line')
  t.equal(read('/api/chat', '{"error":"a \\"quoted\\" one"}', NDJSON).trouble, 'error-line')
  t.equal(read('/api/chat', '{"error":"first"}\n{"done":true}\n', NDJSON).trouble, undefined)
  t.equal(read('/api/chat', '{"error":"not found"}', 'application/json', 404).trouble, undefined)
})

t.test('a stream of events that stops short of its own end is trouble', async t => {
  const chat = '/v1/chat/completions'
  t.equal(read(chat, 'data: {"x":1}\n\ndata: [DONE]\n\n', SSE).trouble, undefined)
  t.equal(read(chat, 'data: {"content":"data: [DONE]\\n"}\n\n', SSE).trouble, 'unterminated')
  t.equal(read('/v1/responses', 'event: response.completed\ndata: {}\n\n', SSE).trouble, undefined)
  t.equal(read('/v1/responses', 'event: response.created\ndata: {}\n\n', SSE).trouble, 'unterminated')
  t.equal(read('/v1/messages', 'event: message_stop\ndata: {}\n\n', SSE).trouble, undefined)
  t.equal(read('/v1/messages', 'event: message_delta\ndata: {}\n\n', SSE).trouble, 'unterminated')
})
