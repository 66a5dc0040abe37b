/** Anthropic's Messages API, as Ollama 0.33 speaks it. */
import { type Answer, answering, type Dialect, Fault, type Refusing } from './dialect.ts'
import { type Exchange, JSON_PLAIN, JSON_UTF8, SSE } from './exchange.ts'
import { goJson } from './gojson.ts'
import { anything, base64Fault, bool, float, int, list, type Read, record, struct, text } from './gostruct.ts'
import { chat } from './inference.ts'
import type { SimNode } from './node.ts'
import type { ChatRequest, Message, Think, Tool } from './requests.ts'
import { pick, readV1 } from './v1.ts'

const MESSAGES = struct('anthropic.MessagesRequest', {
  model: text,
  max_tokens: int,
  messages: list(
    record(struct('anthropic.MessageParam', { role: text, content: anything })),
    '[]anthropic.MessageParam',
  ),
  system: anything,
  stream: bool,
  temperature: float('float64'),
  top_p: float('float64'),
  top_k: int,
  stop_sequences: list(text, '[]string'),
  tools: list(
    record(struct('anthropic.Tool', { type: text, name: text, description: text, input_schema: anything })),
    '[]anthropic.Tool',
  ),
  thinking: record(struct('anthropic.ThinkingConfig', { type: text, budget_tokens: int })),
  output_config: record(struct('anthropic.OutputConfig', { effort: text })),
})

type Request = Read<typeof MESSAGES.fields>

const ERROR_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  529: 'overloaded_error',
}

export async function messagesRoute(node: SimNode, x: Exchange): Promise<void> {
  const early: Refusing = { refusal: fault => ({ type: JSON_UTF8, text: refusalOf(node, fault) }) }
  await answering(x, early, async () => {
    const request = await readV1(node, x, MESSAGES)
    if (!request.model) throw new Fault(400, 'model is required')
    if (!(request.max_tokens! > 0)) throw new Fault(400, 'max_tokens is required and must be positive')
    if ((request.messages ?? []).length === 0) throw new Fault(400, 'messages is required')
    const asked = asChat(request)
    if (request.stream) x.headers.push('Cache-Control', 'no-cache', 'Connection', 'keep-alive')
    const dialect = messagesDialect(node, request)
    await answering(x, dialect, () => chat(node, x, asked, dialect, true))
  })
}

function messagesDialect(node: SimNode, request: Request): Dialect {
  const id = idOf(node, 'msg')
  const model = request.model!
  let begun = false
  let index = 0
  let block: 'thinking' | 'text' | undefined
  let called = false

  const event = (type: string, data: Record<string, unknown>): string =>
    `event: ${type}\ndata: ${goJson({ type, ...data })}\n\n`

  function close(): string {
    if (block === undefined) return ''
    block = undefined
    index += 1
    return event('content_block_stop', { index: index - 1 })
  }

  function speak(kind: 'thinking' | 'text', words: string): string {
    let events = block === kind ? '' : close()
    if (block === undefined)
      events += event('content_block_start', { index, content_block: { type: kind, [kind]: '' } })
    block = kind
    return events + event('content_block_delta', { index, delta: { type: `${kind}_delta`, [kind]: words } })
  }

  function piece(answer: Answer): string {
    let events = ''
    if (!begun) {
      begun = true
      const usage = { input_tokens: answer.metrics?.prompt_eval_count || estimate(request), output_tokens: 0 }
      const message = { id, type: 'message', role: 'assistant', model, content: [], usage }
      events += event('message_start', { message })
    }
    if (answer.thinking) events += speak('thinking', answer.thinking)
    if (answer.content !== '') events += speak('text', answer.content)
    for (const { id: callId, function: fn } of answer.toolCalls ?? []) {
      const content_block = { type: 'tool_use', id: callId, name: fn.name, input: {} }
      const delta = { type: 'input_json_delta', partial_json: goJson(fn.arguments) }
      events += close()
      events += event('content_block_start', { index, content_block })
      events += event('content_block_delta', { index, delta })
      events += event('content_block_stop', { index })
      index += 1
      called = true
    }
    if (!answer.done) return events
    const { prompt_eval_count: input_tokens = 0, eval_count: output_tokens = 0 } = answer.metrics ?? {}
    const delta = { stop_reason: stopReason(answer, called) }
    events += close()
    events += event('message_delta', { delta, usage: { input_tokens, output_tokens } })
    return events + event('message_stop', {})
  }

  function whole(answer: Answer): { type: string; text: string } {
    if (request.stream) return { type: SSE, text: piece(answer) }
    const content: unknown[] = []
    if (answer.thinking) content.push({ type: 'thinking', thinking: answer.thinking })
    if (answer.content !== '') content.push({ type: 'text', text: answer.content })
    for (const { id: callId, function: fn } of answer.toolCalls ?? [])
      content.push({ type: 'tool_use', id: callId, name: fn.name, input: fn.arguments })
    const { prompt_eval_count: input_tokens = 0, eval_count: output_tokens = 0 } = answer.metrics ?? {}
    const message = {
      id,
      type: 'message',
      role: 'assistant',
      model: answer.model,
      content: content.length === 0 ? null : content,
      stop_reason: stopReason(answer, answer.toolCalls !== undefined),
      usage: { input_tokens, output_tokens },
    }
    return { type: JSON_PLAIN, text: `${goJson(message)}\n` }
  }

  return {
    refusal: fault => ({ type: JSON_PLAIN, text: `${refusalOf(node, fault)}\n` }),
    streams: request.stream ?? false,
    streamType: SSE,
    whole,
    piece,
    // Nothing at all: the stream just ends.
    broken: () => '',
  }
}

function stopReason({ doneReason }: Answer, called: boolean): string | undefined {
  if (called) return 'tool_use'
  if (doneReason === 'stop') return 'end_turn'
  if (doneReason === 'length') return 'max_tokens'
  return doneReason === undefined ? undefined : 'stop_sequence'
}

function refusalOf(node: SimNode, { status, message }: Fault): string {
  const type = ERROR_TYPES[status] ?? 'api_error'
  return goJson({ type: 'error', error: { type, message }, request_id: idOf(node, 'req') })
}

/** A prefix and 24 hex digits. */
function idOf({ clock }: SimNode, prefix: string): string {
  const digits = Array.from({ length: 3 }, () =>
    Math.floor(clock.random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  )
  return `${prefix}_${digits.join('')}`
}

/** What message_start claims, before anything has been counted: letters / 4. */
function estimate({ messages = [], system, tools = [] }: Request): number {
  let letters = typeof system === 'string' ? system.length : system === undefined ? 0 : goJson(system).length
  for (const { role = '', content } of messages)
    letters += role.length + (typeof content === 'string' ? content.length : blocksLength(content))
  for (const { name = '', description = '', input_schema: schema } of tools)
    letters += name.length + description.length + (schema === undefined ? 0 : JSON.stringify(schema).length)
  return Math.max(1, Math.floor(letters / 4))
}

function blocksLength(content: unknown): number {
  if (!Array.isArray(content)) return 0
  return content.reduce((sum, block) => sum + String(block?.text ?? block?.thinking ?? '').length, 0)
}

function asChat(request: Request): ChatRequest {
  const messages: Message[] = []
  const system = textOf(request.system)
  if (system !== '') messages.push({ role: 'system', content: system })
  for (const message of request.messages ?? [])
    messages.push(...asMessages(message.role ?? '', message.content))
  const think = thinkOf(request)
  return {
    ...pick(request, 'model'),
    messages,
    options: {
      num_predict: request.max_tokens,
      ...pick(request, 'temperature', 'top_p', 'top_k'),
      ...(request.stop_sequences?.length ? { stop: request.stop_sequences } : {}),
    },
    ...(request.tools?.length ? { tools: request.tools.map(asTool) } : {}),
    ...(think !== undefined ? { think } : {}),
  }
}

function asTool(tool: NonNullable<Request['tools']>[number]): Tool {
  const name = tool.type?.startsWith('web_search') ? 'web_search' : (tool.name ?? '')
  const parameters = tool.input_schema ?? { type: 'object' }
  return { type: 'function', function: { name, description: tool.description ?? '', parameters } }
}

function thinkOf({ thinking, output_config: config }: Request): Think | undefined {
  if (thinking?.type === 'enabled') return true
  if (thinking?.type === 'disabled') return false
  const effort = config?.effort?.trim().toLowerCase()
  if (effort === 'xhigh') return 'high'
  return effort === 'high' || effort === 'medium' || effort === 'low' || effort === 'max' ? effort : undefined
}

function asMessages(rawRole: string, content: unknown): Message[] {
  const role = rawRole.toLowerCase()
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  if (!Array.isArray(blocks)) return []
  let words = ''
  const images: string[] = []
  const calls: unknown[] = []
  const results: Message[] = []
  for (const block of blocks as any[]) {
    if (block?.type === 'text') words += block.text ?? ''
    else if (block?.type === 'image') images.push(imageOf(block.source))
    else if (block?.type === 'tool_use') {
      for (const field of ['id', 'name'])
        if (!block[field]) throw new Fault(400, `tool_use block missing required '${field}' field`)
      calls.push({ id: block.id, function: { name: block.name, arguments: block.input ?? {} } })
    } else if (block?.type === 'tool_result')
      results.push({ role: 'tool', content: textOf(block.content), tool_call_id: block.tool_use_id ?? '' })
  }
  const own: Message[] =
    words !== '' || images.length > 0 || calls.length > 0
      ? [{ role, content: words, images, ...(calls.length > 0 ? { tool_calls: calls } : {}) }]
      : []
  return role === 'user' ? [...results, ...own] : [...own, ...results]
}

function imageOf(source: any): string {
  if (!source) throw new Fault(400, 'invalid image source')
  if (source.type !== 'base64')
    throw new Fault(400, `invalid image source type: ${source.type}. Only base64 images are supported.`)
  const at = base64Fault(source.data ?? '')
  if (at >= 0) throw new Fault(400, `invalid base64 image data: illegal base64 data at input byte ${at}`)
  return source.data
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map(block => (block?.type === 'text' ? String(block.text ?? '') : '')).join('')
}
