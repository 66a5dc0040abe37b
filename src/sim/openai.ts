/** OpenAI's chat completions and completions, as Ollama 0.33 speaks them. */
import { type Answer, answering, type Dialect, Fault } from './dialect.ts'
import { type Exchange, JSON_PLAIN, SSE } from './exchange.ts'
import { goJson } from './gojson.ts'
import {
  aliased,
  anything,
  base64Fault,
  bool,
  float,
  int,
  list,
  type Read,
  record,
  struct,
  text,
} from './gostruct.ts'
import { chat, generate } from './inference.ts'
import type { SimNode } from './node.ts'
import { type ChatRequest, type Message, type Think, TOOL } from './requests.ts'
import { goType, openaiEarly, openaiLate, parseArguments, pick, readV1, unixSeconds } from './v1.ts'

const FINGERPRINT = 'fp_ollama'

const STREAM_OPTIONS = struct('openai.StreamOptions', { include_usage: bool })
const CALLED = struct('', { name: text, arguments: text })
const TOOL_CALL = struct('openai.ToolCall', { id: text, index: int, type: text, function: record(CALLED) })
const MESSAGE = struct('openai.Message', {
  role: text,
  content: anything,
  reasoning: text,
  tool_calls: list(record(TOOL_CALL), '[]openai.ToolCall'),
  name: text,
  tool_call_id: text,
})

const CHAT_COMPLETION = struct('openai.ChatCompletionRequest', {
  model: text,
  messages: list(record(MESSAGE), '[]openai.Message'),
  stream: bool,
  stream_options: record(STREAM_OPTIONS),
  max_tokens: int,
  seed: int,
  stop: anything,
  temperature: float('float64'),
  frequency_penalty: float('float64'),
  presence_penalty: float('float64'),
  top_p: float('float64'),
  response_format: record(
    struct('openai.ResponseFormat', {
      type: text,
      json_schema: record(struct('openai.JsonSchema', { schema: anything })),
    }),
  ),
  tools: list(aliased(TOOL), '[]api.Tool'),
  reasoning: record(struct('openai.Reasoning', { effort: text })),
  reasoning_effort: text,
  logprobs: bool,
  top_logprobs: int,
  _debug_render_only: bool,
})

const COMPLETION = struct('openai.CompletionRequest', {
  model: text,
  prompt: text,
  frequency_penalty: float('float32'),
  max_tokens: int,
  presence_penalty: float('float32'),
  seed: int,
  stop: anything,
  stream: bool,
  stream_options: record(STREAM_OPTIONS),
  temperature: float('float32'),
  top_p: float('float32'),
  suffix: text,
  logprobs: int,
  _debug_render_only: bool,
})

type ChatCompletion = Read<typeof CHAT_COMPLETION.fields>
type Completion = Read<typeof COMPLETION.fields>

export async function chatCompletionsRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, openaiEarly, async () => {
    const request = await readV1(node, x, CHAT_COMPLETION)
    if ((request.messages ?? []).length === 0) throw new Fault(400, "[] is too short - 'messages'")
    const dialect = chatDialect(node, request)
    const asked = asChat(request)
    await answering(x, dialect, () => chat(node, x, asked, dialect))
  })
}

export async function completionsRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, openaiEarly, async () => {
    const request = await readV1(node, x, COMPLETION)
    const options = { ...sampling(request), stop: completionStops(request.stop) }
    const listed = Math.max(request.logprobs ?? 0, 0)
    const asked = {
      ...pick(request, 'model', 'prompt', 'suffix', '_debug_render_only'),
      options,
      ...(listed > 0 ? { logprobs: true, top_logprobs: listed } : {}),
    }
    const dialect = completionDialect(node, request)
    await answering(x, dialect, () => generate(node, x, asked, dialect))
  })
}

function chatDialect(node: SimNode, request: ChatCompletion): Dialect {
  const id = `chatcmpl-${Math.floor(node.clock.random() * 999)}`
  let created: number | undefined
  let spoken = false
  let called = false

  const chunk = (model: string, choices: unknown[], usage?: unknown): string =>
    `data: ${goJson({ id, object: 'chat.completion.chunk', created, model, system_fingerprint: FINGERPRINT, choices, usage })}\n\n`

  function piece(answer: Answer): string {
    created ??= unixSeconds(answer.createdAt)
    let events = ''
    const nothing = !answer.content && !answer.thinking && !answer.toolCalls && !answer.logprobs
    // The last answer carries measures only, and gets no chunk of its own unless it is the first too.
    if (!(answer.done && spoken && nothing)) {
      const delta = {
        role: spoken ? undefined : 'assistant',
        content: answer.content,
        reasoning: answer.thinking || undefined,
        tool_calls: openaiCalls(answer),
      }
      const probabilities = answer.logprobs && { content: answer.logprobs }
      events += chunk(answer.model, [{ index: 0, delta, finish_reason: null, logprobs: probabilities }])
      spoken = true
      called ||= answer.toolCalls !== undefined
    }
    if (!answer.done) return events
    const reason = answer.doneReason ?? 'stop'
    const finish_reason = reason === 'stop' && called ? 'tool_calls' : reason
    events += chunk(answer.model, [{ index: 0, delta: {}, finish_reason }])
    if (request.stream_options?.include_usage) events += chunk(answer.model, [], usageOf(answer))
    return `${events}data: [DONE]\n\n`
  }

  function whole(answer: Answer): { type: string; text: string } {
    if (request.stream) return { type: SSE, text: piece(answer) }
    const calls = openaiCalls(answer)
    const reason = answer.doneReason === 'stop' && calls !== undefined ? 'tool_calls' : answer.doneReason
    const completion = {
      id,
      object: 'chat.completion',
      created: unixSeconds(answer.createdAt),
      model: answer.model,
      system_fingerprint: FINGERPRINT,
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: answer.content,
            reasoning: answer.thinking || undefined,
            tool_calls: calls,
          },
          finish_reason: reason ?? null,
          logprobs: answer.logprobs && { content: answer.logprobs },
        },
      ],
      usage: usageOf(answer),
      _debug_info: answer.rendered,
    }
    return { type: JSON_PLAIN, text: `${goJson(completion)}\n` }
  }

  return {
    ...openaiLate,
    streams: request.stream ?? false,
    streamType: SSE,
    whole,
    piece,
    // The error is read as an answer without anything in it, and nothing more comes.
    broken: () => chunk('', [{ index: 0, delta: { content: '' }, finish_reason: null }]),
  }
}

function completionDialect(node: SimNode, request: Completion): Dialect {
  const id = `cmpl-${Math.floor(node.clock.random() * 999)}`
  const counting = request.stream_options?.include_usage ?? false
  const unknown = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }

  const chunk = (model: string, choices: unknown[], usage: unknown): string => {
    const created = unixSeconds(node.wall())
    const system_fingerprint = FINGERPRINT
    return `data: ${goJson({ id, object: 'text_completion', created, choices, model, system_fingerprint, usage })}\n\n`
  }

  function piece(answer: Answer): string {
    const choice = { text: answer.content, index: 0, finish_reason: answer.doneReason ?? null }
    let events = chunk(answer.model, [choice], counting ? unknown : undefined)
    if (!answer.done) return events
    if (counting) events += chunk(answer.model, [], usageOf(answer))
    return `${events}data: [DONE]\n\n`
  }

  return {
    ...openaiLate,
    streams: request.stream ?? false,
    streamType: SSE,
    piece,
    whole(answer) {
      if (request.stream) return { type: SSE, text: piece(answer) }
      const completion = {
        id,
        object: 'text_completion',
        created: unixSeconds(answer.createdAt),
        model: answer.model,
        system_fingerprint: FINGERPRINT,
        choices: [{ text: answer.content, index: 0, finish_reason: answer.doneReason ?? null }],
        usage: usageOf(answer),
      }
      return { type: JSON_PLAIN, text: `${goJson(completion)}\n` }
    },
    broken: () => chunk('', [{ text: '', index: 0, finish_reason: null }], counting ? unknown : undefined),
  }
}

export function openaiCalls({ toolCalls }: Answer): unknown[] | undefined {
  return toolCalls?.map(({ id, function: { index, name, arguments: args } }) => ({
    id,
    index,
    type: 'function',
    function: { name, arguments: goJson(args) },
  }))
}

function usageOf({ metrics = {} }: Answer): Record<string, number> {
  const { prompt_eval_count: read = 0, eval_count: said = 0 } = metrics
  return { prompt_tokens: read, completion_tokens: said, total_tokens: read + said }
}

function asChat(request: ChatCompletion): ChatRequest {
  const messages = (request.messages ?? []).flatMap(message => asMessages(message))
  const options = { ...sampling(request), stop: stopsOf(request.stop) }
  const effort = request.reasoning?.effort ?? request.reasoning_effort ?? ''
  const think = thinkOf(effort)
  const format = formatOf(request)
  return {
    ...pick(request, 'model', 'tools', 'logprobs', 'top_logprobs', '_debug_render_only'),
    messages,
    options,
    ...(think !== undefined ? { think } : {}),
    ...(format !== undefined ? { format } : {}),
  }
}

/** One message natively for each part of an OpenAI message. */
function asMessages(message: Read<typeof MESSAGE.fields>): Message[] {
  const { role = '', content, tool_calls: calls } = message
  const called = calls?.map(({ id, function: called }) => ({
    id,
    function: {
      name: called?.name,
      arguments: parseArguments(called?.arguments ?? '', 'invalid tool call arguments'),
    },
  }))
  const extra = called === undefined ? {} : { tool_calls: called }
  if (typeof content === 'string') return [{ role, content, ...extra }]
  if (!Array.isArray(content)) {
    if (calls === undefined) throw new Fault(400, `invalid message content type: ${goType(content)}`)
    return [{ role, ...extra }]
  }
  return content.map(part => ({ role, ...partOf(part) }))
}

function partOf(part: any): Message {
  const invalid = new Fault(400, 'invalid message format')
  if (part?.type === 'text') {
    if (typeof part.text !== 'string') throw invalid
    return { content: part.text }
  }
  if (part?.type === 'image_url') {
    const url = typeof part.image_url === 'object' ? part.image_url?.url : part.image_url
    if (typeof url !== 'string') throw invalid
    return { images: [imageOf(url)] }
  }
  if (part?.type === 'input_audio') {
    if (typeof part.input_audio !== 'object') throw new Fault(400, 'invalid input_audio format')
    const { data } = part.input_audio
    if (typeof data !== 'string') throw new Fault(400, 'invalid input_audio format: missing data')
    const at = base64Fault(data)
    if (at >= 0)
      throw new Fault(400, `invalid input_audio base64 data: illegal base64 data at input byte ${at}`)
    return { images: [data] }
  }
  throw invalid
}

export function imageOf(url: string): string {
  if (/^https?:\/\//.test(url))
    throw new Fault(400, 'image URLs are not currently supported, please use base64 encoded data instead')
  const encoded = /^data:(?:image\/(?:jpeg|jpg|png|webp))?;base64,/.exec(url)
  if (encoded === null || base64Fault(url.slice(encoded[0].length)) >= 0)
    throw new Fault(400, 'invalid image input')
  return url.slice(encoded[0].length)
}

/** OpenAI's scale is longer than Ollama's at both ends. */
export function thinkOf(effort: string): Think | undefined {
  const scale: Record<string, Think | undefined> = {
    '': undefined,
    none: false,
    minimal: 'low',
    low: 'low',
    medium: 'medium',
    high: 'high',
    max: 'max',
    xhigh: 'max',
    ultra: 'max',
  }
  if (Object.hasOwn(scale, effort)) return scale[effort]
  const words = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
  throw new Fault(400, `invalid reasoning value: ${JSON.stringify(effort)} (must be ${words})`)
}

function formatOf({ response_format: asked }: ChatCompletion): unknown {
  const type = asked?.type?.trim().toLowerCase()
  if (type === 'json_object') return 'json'
  return type === 'json_schema' ? asked?.json_schema?.schema : undefined
}

function sampling(request: ChatCompletion | Completion): Record<string, unknown> {
  const { max_tokens, seed, temperature, top_p } = request
  return {
    ...(max_tokens !== undefined ? { num_predict: max_tokens } : {}),
    ...(seed !== undefined ? { seed } : {}),
    temperature: temperature ?? 1,
    top_p: top_p ?? 1,
  }
}

function stopsOf(stop: unknown): string[] {
  if (typeof stop === 'string') return [stop]
  return Array.isArray(stop) ? stop.filter(item => typeof item === 'string') : []
}

function completionStops(stop: unknown): string[] {
  const wrong = Array.isArray(stop) ? stop.find(item => typeof item !== 'string') : undefined
  if (wrong !== undefined) throw new Fault(400, `invalid type for 'stop' field: ${goType(wrong)}`)
  return stopsOf(stop)
}
