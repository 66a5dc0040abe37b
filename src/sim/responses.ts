/** OpenAI's Responses API, as Ollama 0.33 speaks it: no stored responses, no conversations. */
import { type Answer, answering, type Dialect, Fault } from './dialect.ts'
import { type Exchange, JSON_PLAIN, SSE } from './exchange.ts'
import { goJson, goMap } from './gojson.ts'
import { anything, bool, float, int, list, type Read, record, struct, text } from './gostruct.ts'
import { chat } from './inference.ts'
import type { SimNode } from './node.ts'
import { imageOf, openaiCalls, thinkOf } from './openai.ts'
import type { ChatRequest, Message, Tool } from './requests.ts'
import { openaiEarly, openaiLate, parseArguments, pick, readV1, unixSeconds } from './v1.ts'

const TOOL = struct('openai.ResponsesTool', {
  type: text,
  name: text,
  description: text,
  strict: bool,
  parameters: anything,
  tools: anything,
})

const RESPONSES = struct('openai.ResponsesRequest', {
  model: text,
  background: bool,
  input: anything,
  instructions: text,
  max_output_tokens: int,
  reasoning: record(
    struct('openai.ResponsesReasoning', { effort: text, generate_summary: text, summary: text }),
  ),
  temperature: float('float64'),
  text: record(
    struct('openai.ResponsesText', {
      format: record(
        struct('openai.ResponsesTextFormat', { type: text, name: text, schema: anything, strict: bool }),
      ),
    }),
  ),
  top_p: float('float64'),
  truncation: text,
  tools: list(record(TOOL), '[]openai.ResponsesTool'),
  stream: bool,
})

type Request = Read<typeof RESPONSES.fields>

export async function responsesRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, openaiEarly, async () => {
    const request = await readV1(node, x, RESPONSES)
    const asked = asChat(request)
    if (request.stream) x.headers.push('Cache-Control', 'no-cache', 'Connection', 'keep-alive')
    const dialect = responsesDialect(node, request)
    await answering(x, dialect, () => chat(node, x, asked, dialect))
  })
}

function responsesDialect(node: SimNode, request: Request): Dialect {
  const number = (): number => Math.floor(node.clock.random() * 999_999)
  const id = `resp_${number()}`
  const messageId = `msg_${number()}`
  let sequence = 0
  let outputIndex = 0
  let thought: { id: string; text: string } | undefined
  let said: string | undefined
  let called = false
  const finished: unknown[] = []

  /** Events are Go maps: keys sorted. */
  const event = (type: string, data: Record<string, unknown>): string => {
    const sorted = goMap({ ...data, type, sequence_number: sequence })
    sequence += 1
    return `event: ${type}\ndata: ${goJson(sorted)}\n\n`
  }
  const state = (status: string, more: Record<string, unknown>): Record<string, unknown> => ({
    ...envelope(request, id, unixSeconds(node.wall())),
    status,
    tools: (request.tools ?? []).map(shownTool),
    ...more,
  })
  const partOf = (content: string): Record<string, unknown> => ({
    type: 'output_text',
    text: content,
    annotations: [],
    logprobs: [],
  })
  const messageOf = (status: string, content: unknown[]): Record<string, unknown> => ({
    id: messageId,
    type: 'message',
    status,
    role: 'assistant',
    content,
  })

  function think(words: string): string {
    let events = ''
    if (thought === undefined) {
      thought = { id: `rs_${number()}`, text: '' }
      const item = { id: thought.id, type: 'reasoning', summary: [] }
      events += event('response.output_item.added', { output_index: outputIndex, item })
    }
    thought.text += words
    const where = { item_id: thought.id, output_index: outputIndex, summary_index: 0 }
    return events + event('response.reasoning_summary_text.delta', { ...where, delta: words })
  }

  function stopThinking(): string {
    if (thought === undefined) return ''
    const { id: item_id, text: words } = thought
    const summary = [{ type: 'summary_text', text: words }]
    const item = { id: item_id, type: 'reasoning', summary, encrypted_content: words }
    const where = { item_id, output_index: outputIndex, summary_index: 0 }
    const events =
      event('response.reasoning_summary_text.done', { ...where, text: words }) +
      event('response.output_item.done', { output_index: outputIndex, item })
    thought = undefined
    finished.push(item)
    outputIndex += 1
    return events
  }

  function call(answer: Answer): string {
    let events = ''
    for (const { id: call_id, function: fn } of openaiCalls(answer) as any[]) {
      const item_id = `fc_${number()}_0`
      const item = { id: item_id, type: 'function_call', call_id, name: fn.name }
      const where = { item_id, output_index: outputIndex }
      const done = { ...item, status: 'completed', arguments: fn.arguments }
      events +=
        event('response.output_item.added', {
          output_index: outputIndex,
          item: { ...item, status: 'in_progress', arguments: '' },
        }) +
        event('response.function_call_arguments.delta', { ...where, delta: fn.arguments }) +
        event('response.function_call_arguments.done', { ...where, arguments: fn.arguments }) +
        event('response.output_item.done', { output_index: outputIndex, item: done })
      finished.push(done)
      outputIndex += 1
      called = true
    }
    return events
  }

  function say(words: string): string {
    let events = ''
    const where = { item_id: messageId, output_index: outputIndex, content_index: 0 }
    if (said === undefined) {
      said = ''
      const item = messageOf('in_progress', [])
      events +=
        event('response.output_item.added', { output_index: outputIndex, item }) +
        event('response.content_part.added', { ...where, part: partOf('') })
    }
    said += words
    return events + event('response.output_text.delta', { ...where, delta: words, logprobs: [] })
  }

  function complete({ metrics = {} }: Answer): string {
    let events = stopThinking()
    if (said !== undefined && !called) {
      const where = { item_id: messageId, output_index: outputIndex, content_index: 0 }
      const item = messageOf('completed', [partOf(said)])
      events +=
        event('response.output_text.done', { ...where, text: said, logprobs: [] }) +
        event('response.content_part.done', { ...where, part: partOf(said) }) +
        event('response.output_item.done', { output_index: outputIndex, item })
      finished.push(item)
    }
    const response = state('completed', {
      output: finished,
      usage: usageOf(metrics),
      completed_at: unixSeconds(node.wall()),
    })
    return events + event('response.completed', { response })
  }

  function piece(answer: Answer): string {
    let events = ''
    if (sequence === 0)
      for (const type of ['response.created', 'response.in_progress'])
        events += event(type, { response: state('in_progress', {}) })
    if (answer.thinking) events += think(answer.thinking)
    if (answer.toolCalls) events += stopThinking() + call(answer)
    else if (answer.content !== '' && !called) events += stopThinking() + say(answer.content)
    return answer.done ? events + complete(answer) : events
  }

  function whole(answer: Answer): { type: string; text: string } {
    if (request.stream) return { type: SSE, text: piece(answer) }
    const output: unknown[] = []
    if (answer.thinking)
      output.push({
        id: `rs_${id}`,
        type: 'reasoning',
        summary: [{ type: 'summary_text', text: answer.thinking }],
        encrypted_content: answer.thinking,
      })
    const calls = openaiCalls(answer) as any[] | undefined
    if (calls === undefined) output.push(messageOf('completed', [partOf(answer.content)]))
    for (const [i, { id: call_id, function: fn }] of (calls ?? []).entries())
      output.push({ id: `fc_${id}_${i}`, type: 'function_call', status: 'completed', call_id, ...fn })
    const response = {
      ...envelope(request, id, unixSeconds(answer.createdAt)),
      completed_at: unixSeconds(node.wall()),
      status: 'completed',
      output,
      tools: (request.tools ?? []).map(shownTool),
      usage: usageOf(answer.metrics ?? {}),
    }
    return { type: JSON_PLAIN, text: `${goJson(response)}\n` }
  }

  return {
    ...openaiLate,
    streams: request.stream ?? false,
    streamType: SSE,
    whole,
    piece,
    // Nothing at all: the stream just ends.
    broken: () => '',
  }
}

/** Every field of a response, in the order of Ollama's struct; the caller fills in what it knows. */
function envelope(request: Request, id: string, created: number): Record<string, unknown> {
  const { effort, summary } = request.reasoning ?? {}
  return {
    id,
    object: 'response',
    created_at: created,
    completed_at: null,
    status: '',
    incomplete_details: null,
    model: request.model ?? '',
    previous_response_id: null,
    instructions: request.instructions || null,
    output: [],
    error: null,
    tools: [],
    tool_choice: 'auto',
    truncation: request.truncation ?? 'disabled',
    parallel_tool_calls: true,
    text: { format: request.text?.format ?? { type: 'text' } },
    top_p: request.top_p ?? 1,
    presence_penalty: 0,
    frequency_penalty: 0,
    top_logprobs: 0,
    temperature: request.temperature ?? 1,
    reasoning: effort || summary ? { effort: effort || undefined, summary: summary || undefined } : null,
    usage: null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: null,
    store: false,
    background: request.background ?? false,
    service_tier: 'default',
    metadata: {},
    safety_identifier: null,
    prompt_cache_key: null,
  }
}

function shownTool(tool: Read<typeof TOOL.fields>): unknown {
  const { type = '', name = '', description = null, strict = null, parameters = null } = tool
  return { type, name, description, strict, parameters: goMap(parameters) }
}

function usageOf({
  prompt_eval_count: read = 0,
  eval_count: said = 0,
}: NonNullable<Answer['metrics']>): unknown {
  return {
    input_tokens: read,
    output_tokens: said,
    total_tokens: read + said,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 },
  }
}

function asChat(request: Request): ChatRequest {
  const messages: Message[] = []
  if (request.instructions) messages.push({ role: 'system', content: request.instructions })
  const { input } = request
  if (typeof input === 'string') messages.push({ role: 'user', content: input })
  else if (Array.isArray(input)) messages.push(...input.flatMap((item, i) => messageFrom(item, i)))
  else if (input !== undefined) throw new Fault(400, 'input must be a string or array')
  const think = thinkOf(request.reasoning?.effort ?? '')
  const { format } = request.text ?? {}
  const tools = (request.tools ?? []).flatMap(tool => asTools(tool))
  return {
    ...pick(request, 'model'),
    messages,
    ...(tools.length > 0 ? { tools } : {}),
    options: {
      temperature: request.temperature ?? 1,
      ...(request.max_output_tokens !== undefined ? { num_predict: request.max_output_tokens } : {}),
    },
    ...(think !== undefined ? { think } : {}),
    ...(format?.type === 'json_schema' && format.schema !== undefined ? { format: format.schema } : {}),
  }
}

function messageFrom(item: any, i: number): Message[] {
  const type: string = item?.type || (item?.role ? 'message' : '')
  if (type === 'message')
    return [{ role: String(item.role).toLowerCase(), ...contentOf(item.content, `input[${i}]: content`) }]
  if (type === 'function_call') {
    const args = parseArguments(
      item.arguments || '{}',
      'failed to parse function call arguments: unexpected end of JSON input',
    )
    return [
      {
        role: 'assistant',
        tool_calls: [{ id: item.call_id, function: { name: item.name, arguments: args } }],
      },
    ]
  }
  if (type === 'function_call_output')
    return [
      { role: 'tool', ...contentOf(item.output, `input[${i}]: output`), tool_call_id: String(item.call_id) },
    ]
  if (type === 'reasoning' || type === 'web_search_call') return []
  if (type === '') throw new Fault(400, `input[${i}]: input item missing required 'type' field`)
  throw new Fault(400, `input[${i}]: unknown input item type: ${JSON.stringify(type)}`)
}

function contentOf(content: unknown, where: string): Message {
  if (content === undefined || content === null) return { content: '' }
  if (typeof content === 'string') return { content }
  if (!Array.isArray(content)) throw new Fault(400, `${where} must be a string or array`)
  let words = ''
  const images: string[] = []
  for (const [i, part] of content.entries()) {
    if (part?.type === 'input_text' || part?.type === 'output_text') words += part.text ?? ''
    else if (part?.type === 'input_image') {
      if (part.image_url) images.push(imageOf(part.image_url))
    } else if (part?.type === 'input_file') throw new Fault(400, 'file inputs are not currently supported')
    else throw new Fault(400, `${where}[${i}]: unknown content type: ${part?.type ?? ''}`)
  }
  return { content: words, images }
}

/** A namespace groups functions: each becomes one with the namespace before its name. */
function asTools(tool: any): Tool[] {
  if (tool.type === 'web_search')
    return [{ type: 'function', function: { name: 'web_search', parameters: { type: 'object' } } }]
  if (tool.type !== 'namespace')
    return [{ type: tool.type ?? '', function: pick(tool, 'name', 'description', 'parameters') }]
  return ((tool.tools ?? []) as any[]).flatMap(asTools).map(member => ({
    ...member,
    function: { ...member.function, name: `${tool.name}.${member.function?.name}` },
  }))
}
