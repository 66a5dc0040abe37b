/** Ollama's own inference API: generate, chat, embed, embeddings. */
import { type Answer, answering, type Dialect, native } from './dialect.ts'
import { embed, embedOne } from './embedding.ts'
import { type Exchange, JSON_UTF8, NDJSON } from './exchange.ts'
import { goJson, rfc3339 } from './gojson.ts'
import { chat, generate } from './inference.ts'
import type { SimNode } from './node.ts'
import { CHAT, EMBED, EMBEDDINGS, GENERATE, readBody } from './requests.ts'

export async function generateRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(GENERATE, body)
    const dialect = nativeDialect(request.stream ?? true, generated)
    await answering(x, dialect, () => generate(node, x, request, dialect))
  })
}

export async function chatRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(CHAT, body)
    const dialect = nativeDialect(request.stream ?? true, chatted)
    await answering(x, dialect, () => chat(node, x, request, dialect))
  })
}

export async function embedRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(EMBED, body)
    const embedded = await embed(node, x, request)
    const reply = {
      model: request.model,
      embeddings: embedded?.embeddings ?? [],
      total_duration: embedded?.totalNanos,
      load_duration: embedded?.loadNanos,
      prompt_eval_count: embedded?.promptTokens,
    }
    x.reply(200, JSON_UTF8, goJson(reply))
  })
}

export async function embeddingsRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const embedding = await embedOne(node, x, readBody(EMBEDDINGS, body))
    x.reply(200, JSON_UTF8, goJson({ embedding }))
  })
}

function nativeDialect(streams: boolean, shape: (answer: Answer) => unknown): Dialect {
  return {
    ...native,
    streams,
    streamType: NDJSON,
    whole: answer => ({ type: JSON_UTF8, text: goJson(shape(answer)) }),
    piece: answer => `${goJson(shape(answer))}\n`,
    broken: text => `${goJson({ error: text })}\n`,
  }
}

function generated(answer: Answer): unknown {
  return {
    model: answer.model,
    created_at: rfc3339(answer.createdAt),
    response: answer.content,
    thinking: answer.thinking || undefined,
    done: answer.done,
    done_reason: answer.doneReason,
    context: answer.context,
    ...answer.metrics,
    _debug_info: answer.rendered,
    logprobs: answer.logprobs,
  }
}

function chatted(answer: Answer): unknown {
  return {
    model: answer.model,
    created_at: rfc3339(answer.createdAt),
    message: {
      role: 'assistant',
      content: answer.content,
      thinking: answer.thinking || undefined,
      tool_calls: answer.toolCalls,
    },
    done: answer.done,
    done_reason: answer.doneReason,
    _debug_info: answer.rendered,
    logprobs: answer.logprobs,
    ...answer.metrics,
  }
}
