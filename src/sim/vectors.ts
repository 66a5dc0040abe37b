/** OpenAI's embeddings, as Ollama 0.33 speaks them: numbers, or base64 of 32-bit floats. */
import { answering, Fault } from './dialect.ts'
import { embed } from './embedding.ts'
import { type Exchange, JSON_PLAIN } from './exchange.ts'
import { goJson } from './gojson.ts'
import { anything, int, struct, text } from './gostruct.ts'
import type { SimNode } from './node.ts'
import { openaiEarly, openaiLate, pick, readV1 } from './v1.ts'

const EMBEDDING = struct('openai.EmbedRequest', {
  input: anything,
  model: text,
  dimensions: int,
  encoding_format: text,
})

export async function embeddingsV1Route(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, openaiEarly, async () => {
    const request = await readV1(node, x, EMBEDDING)
    const format = (request.encoding_format ?? '').toLowerCase()
    if (format !== '' && format !== 'float' && format !== 'base64')
      throw new Fault(
        400,
        `Invalid value for 'encoding_format' = ${request.encoding_format}. Supported values: ['float', 'base64'].`,
      )
    const input = request.input === '' ? [''] : request.input
    if (input === undefined || (Array.isArray(input) && input.length === 0))
      throw new Fault(400, 'invalid input')
    await answering(x, openaiLate, async () => {
      const embedded = await embed(node, x, { ...pick(request, 'model', 'dimensions'), input })
      const tokens = embedded?.promptTokens ?? 0
      const data = (embedded?.embeddings ?? []).map((vector, index) => ({
        object: 'embedding',
        embedding: format === 'base64' ? floatsToBase64(vector) : vector,
        index,
      }))
      const usage = { prompt_tokens: tokens, total_tokens: tokens }
      x.reply(200, JSON_PLAIN, `${goJson({ object: 'list', data, model: request.model ?? '', usage })}\n`)
    })
  })
}

function floatsToBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, i * 4)
  return bytes.toString('base64')
}
