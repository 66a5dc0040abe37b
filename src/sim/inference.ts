/**
 * Generate and chat, once for every API: find the model, get it loaded, wait for a slot, read the prompt and
 * speak, each as long as it would take. The order of the checks is Ollama 0.33's.
 *
 *   request ─▶ checks ─▶ lease (load) ─▶ slot ─▶ prefill ─▶ token, token, token… ─▶ measures
 */
import { checkCapabilities, checkThinking, checkTopLogprobs, schedule } from './admission.ts'
import { type Answer, type Dialect, Fault } from './dialect.ts'
import type { Exchange } from './exchange.ts'
import { findModel, nanosSince, notFound, type SimNode } from './node.ts'
import type { ChatRequest, GenerateRequest, Message, Tool } from './requests.ts'
import { answer, type Job, whole } from './speech.ts'
import type { StoredModel } from './store.ts'
import { tokenCount } from './words.ts'

/** What an image costs of a context. */
const IMAGE_TOKENS = 256

export async function generate(node: SimNode, x: Exchange, request: GenerateRequest, dialect: Dialect) {
  const started = node.clock.monotonic()
  checkTopLogprobs(request.top_logprobs)
  const raw = request.model ?? ''
  const model = findModel(node, raw, { nameless: notFound(raw), absent: notFound })
  const prompt = request.prompt ?? ''
  if (prompt === '' && request.keep_alive === 0) {
    node.residency.unload(model.blob)
    return whole(x, dialect, { ...opening(node, raw), done: true, doneReason: 'unload' })
  }
  if (request.raw && (request.template || request.system || (request.context?.length ?? 0) > 0))
    throw new Fault(400, 'raw mode does not support template, system, or context')
  const thinking = checkThinking(model, raw, request.think)
  checkCapabilities(model, raw, 'generate', request.suffix ? ['insert'] : [])
  const { lease, tuning } = await schedule(node, x, model, request)
  try {
    const loadNanos = nanosSince(node, started)
    if (prompt === '') return whole(x, dialect, { ...opening(node, raw), done: true, doneReason: 'load' })
    checkTemplate(request.template)
    const system = request.system || model.system
    const messages: Message[] = [...(system ? [{ role: 'system', content: system }] : []), ...model.messages]
    messages.push({ role: 'user', content: prompt })
    const bare = request.raw || request.suffix
    const text = bare ? prompt + (request.suffix ?? '') : render(messages)
    const textTokens = bare ? tokenCount(text) : tokensOfMessages(messages)
    const media = request.images?.length ?? 0
    if (request._debug_render_only) {
      const rendered = { rendered_template: text, image_count: media || undefined }
      return whole(x, dialect, { ...opening(node, raw), done: false, rendered })
    }
    const job: Job = {
      raw,
      model,
      tuning,
      text,
      promptTokens: textTokens + media * IMAGE_TOKENS + (request.context?.length ?? 0),
      format: request.format,
      thinking,
      tool: undefined,
      truncate: request.truncate ?? true,
      blind: media > 0 && !seesOrHears(model) ? blindTo('generate', true) : undefined,
      logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
      withContext: !request.raw,
      started,
      loadNanos,
    }
    await answer(node, x, dialect, lease, job)
  } finally {
    lease.end()
  }
}

/** `relaxed` is how /v1/messages asks: thinking on a model that cannot is dropped instead of refused. */
export async function chat(
  node: SimNode,
  x: Exchange,
  request: ChatRequest,
  dialect: Dialect,
  relaxed = false,
) {
  const started = node.clock.monotonic()
  checkTopLogprobs(request.top_logprobs)
  const raw = request.model ?? ''
  const model = findModel(node, raw, { nameless: new Fault(400, 'model is required'), absent: notFound })
  const messages = request.messages ?? []
  if (messages.length === 0 && request.keep_alive === 0) {
    node.residency.unload(model.blob)
    return whole(x, dialect, { ...opening(node, raw), done: true, doneReason: 'unload' })
  }
  const tools = request.tools ?? []
  const wish = relaxed && !model.capabilities.includes('thinking') ? undefined : request.think
  const thinking = checkThinking(model, raw, wish)
  checkCapabilities(model, raw, 'chat', tools.length > 0 ? ['tools'] : [])
  const { lease, tuning } = await schedule(node, x, model, request)
  try {
    const loadNanos = nanosSince(node, started)
    if (messages.length === 0)
      return whole(x, dialect, { ...opening(node, raw), done: true, doneReason: 'load' })
    const system = messages[0]!.role === 'system' ? '' : model.system
    const heard = [...(system ? [{ role: 'system', content: system }] : []), ...model.messages, ...messages]
    const text = render(heard)
    const media = messages.reduce((sum, message) => sum + (message.images?.length ?? 0), 0)
    if (request._debug_render_only) {
      const rendered = { rendered_template: text, image_count: media || undefined }
      return whole(x, dialect, { ...opening(node, raw), done: false, rendered })
    }
    const job: Job = {
      raw,
      model,
      tuning,
      text,
      promptTokens: tokensOfMessages(heard) + media * IMAGE_TOKENS + tokensOfTools(tools),
      format: request.format,
      thinking,
      // A tool is called when a person speaks, and its result is answered in words.
      tool: messages.at(-1)!.role?.toLowerCase() === 'tool' ? undefined : tools[0],
      truncate: request.truncate ?? true,
      // A longer conversation is measured first, and fails there, before the reply has begun.
      blind: media > 0 && !seesOrHears(model) ? blindTo('chat', messages.length === 1) : undefined,
      logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
      withContext: false,
      started,
      loadNanos,
    }
    await answer(node, x, dialect, lease, job)
  } finally {
    lease.end()
  }
}

function opening(node: SimNode, model: string): Pick<Answer, 'model' | 'createdAt' | 'content'> {
  return { model, createdAt: node.wall(), content: '' }
}

function render(messages: readonly Message[]): string {
  let text = ''
  for (const { role = '', content = '' } of messages) text += `<|im_start|>${role}\n${content}<|im_end|>\n`
  return `${text}<|im_start|>assistant\n`
}

/** The marks around a message are a few tokens of their own. */
function tokensOfMessages(messages: readonly Message[]): number {
  return messages.reduce((sum, { content = '' }) => sum + 4 + tokenCount(content), 3)
}

function tokensOfTools(tools: readonly Tool[]): number {
  return tools.length === 0 ? 0 : tokenCount(JSON.stringify(tools))
}

/** The runner's own JSON, passed on as a text. */
function blindTo(api: 'generate' | 'chat', late: boolean): Fault {
  const error =
    api === 'generate'
      ? {
          code: 400,
          message: 'Multimodal data provided, but model does not support multimodal requests.',
          type: 'invalid_request_error',
        }
      : {
          code: 500,
          message:
            'image input is not supported - hint: if this is unexpected, you may need to provide the mmproj',
          type: 'server_error',
        }
  return new Fault(error.code, JSON.stringify({ error }), { late })
}

function seesOrHears(model: StoredModel): boolean {
  return model.capabilities.includes('vision') || model.capabilities.includes('audio')
}

function checkTemplate(template: string | undefined): void {
  if (template?.includes('{{') && !template.includes('}}'))
    throw new Fault(500, 'template: :1: unclosed action')
}
