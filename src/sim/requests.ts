/** The bodies of the native API: which fields they have and what kind each is. */
import { Fault } from './dialect.ts'
import { parseDuration } from './goduration.ts'
import { GoFault, goParse } from './gojson.ts'
import {
  aliased,
  anything,
  base64,
  bool,
  dictionary,
  fill,
  int,
  list,
  type Read,
  type Reader,
  type Struct,
  struct,
  text,
  textMap,
} from './gostruct.ts'
import { readable } from './node.ts'

/** Milliseconds; anything negative is for ever. */
const keepAlive: Reader<number> = value => {
  if (typeof value === 'number') return value < 0 ? Number.POSITIVE_INFINITY : value * 1000
  if (typeof value === 'string') {
    const ms = parseDuration(value)
    return ms < 0 ? Number.POSITIVE_INFINITY : ms
  }
  throw new GoFault(`Unsupported type: '${goTypeOf(value)}'`)
}

export type Think = boolean | 'high' | 'medium' | 'low' | 'max'
const THINK_WORDS = '"high", "medium", "low", "max", true, or false'

const think: Reader<Think> = value => {
  if (typeof value === 'boolean') return value
  if (value === 'high' || value === 'medium' || value === 'low' || value === 'max') return value
  if (typeof value === 'string')
    throw new GoFault(`invalid think value: ${JSON.stringify(value)} (must be ${THINK_WORDS})`)
  throw new GoFault(`think must be a boolean or string (${THINK_WORDS})`)
}

const images = list(base64, '[]api.ImageData')

const MESSAGE = struct('api.Alias', {
  role: text,
  content: text,
  thinking: text,
  images,
  tool_calls: list(anything, '[]api.ToolCall'),
  tool_name: text,
  tool_call_id: text,
})

const TOOL_FUNCTION = struct('api.ToolFunction', { name: text, description: text, parameters: anything })
export const TOOL = struct('api.Tool', { type: text, items: anything, function: aliased(TOOL_FUNCTION) })

export const GENERATE = struct('api.GenerateRequest', {
  model: text,
  prompt: text,
  suffix: text,
  system: text,
  template: text,
  context: list(int, '[]int'),
  stream: bool,
  raw: bool,
  format: anything,
  keep_alive: keepAlive,
  images,
  options: dictionary,
  think,
  truncate: bool,
  shift: bool,
  _debug_render_only: bool,
  logprobs: bool,
  top_logprobs: int,
})

export const CHAT = struct('api.ChatRequest', {
  model: text,
  messages: list(aliased(MESSAGE), '[]api.Message'),
  stream: bool,
  format: anything,
  keep_alive: keepAlive,
  tools: list(aliased(TOOL), 'api.Tools'),
  options: dictionary,
  think,
  truncate: bool,
  shift: bool,
  _debug_render_only: bool,
  logprobs: bool,
  top_logprobs: int,
})

export const EMBED = struct('api.EmbedRequest', {
  model: text,
  input: anything,
  keep_alive: keepAlive,
  truncate: bool,
  dimensions: int,
  options: dictionary,
})

export const EMBEDDINGS = struct('api.EmbeddingRequest', {
  model: text,
  prompt: text,
  keep_alive: keepAlive,
  options: dictionary,
})

export const SHOW = struct('api.ShowRequest', {
  model: text,
  name: text,
  system: text,
  template: text,
  verbose: bool,
  options: dictionary,
})

export const PULL = struct('api.PullRequest', { model: text, name: text, insecure: bool, stream: bool })
export const PUSH = struct('api.PushRequest', { model: text, name: text, insecure: bool, stream: bool })
export const COPY = struct('api.CopyRequest', { source: text, destination: text })
export const DELETE = struct('api.DeleteRequest', { model: text, name: text })

export const CREATE = struct('api.CreateRequest', {
  model: text,
  name: text,
  stream: bool,
  quantize: text,
  quantization: text,
  from: text,
  remote_host: text,
  files: textMap,
  adapters: textMap,
  template: text,
  license: anything,
  system: text,
  parameters: dictionary,
  messages: list(aliased(MESSAGE), '[]api.Message'),
  info: dictionary,
})

export type Message = Read<typeof MESSAGE.fields>
export type Tool = Read<typeof TOOL.fields>
export type GenerateRequest = Read<typeof GENERATE.fields>
export type ChatRequest = Read<typeof CHAT.fields>
export type EmbedRequest = Read<typeof EMBED.fields>

/** Reads the body of a native route; an empty one has a text of its own there. */
export function readBody<F extends Record<string, Reader<any>>>(into: Struct<F>, body: Buffer): Read<F> {
  return readable(() => {
    try {
      return fill(into, goParse(body))
    } catch (error) {
      if (error instanceof GoFault && error.message === 'EOF') throw new Fault(400, 'missing request body')
      throw error
    }
  })
}

function goTypeOf(value: unknown): string {
  if (typeof value === 'boolean') return 'bool'
  return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}'
}
