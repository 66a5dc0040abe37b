/** OpenAI's audio transcription: a form with a file becomes a chat with the file attached. */
import { type Answer, answering, type Dialect, Fault } from './dialect.ts'
import { type Exchange, JSON_PLAIN } from './exchange.ts'
import { goJson } from './gojson.ts'
import { chat } from './inference.ts'
import type { SimNode } from './node.ts'
import { openaiEarly, openaiLate } from './v1.ts'

export async function transcriptionsRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, openaiEarly, async () => {
    const form = await formOf(x)
    const field = (name: string): string => {
      const value = form.get(name)
      return typeof value === 'string' ? value : ''
    }
    const model = field('model')
    if (model === '') throw new Fault(400, 'model is required')
    const file = form.get('file')
    if (file === null || typeof file === 'string')
      throw new Fault(400, 'file is required: http: no such file')
    if (file.size === 0) throw new Fault(400, 'audio file is empty')
    let system = 'Write down the words that are spoken.'
    if (field('language') !== '') system += ` The language is ${field('language')}.`
    if (field('prompt') !== '') system += ` Context: ${field('prompt')}`
    const audio = Buffer.from(await file.arrayBuffer()).toString('base64')
    const messages = [
      { role: 'system', content: system },
      { role: 'user', content: 'Which words are these?', images: [audio] },
    ]
    const dialect = transcriptionDialect(field('response_format'))
    await answering(x, dialect, () =>
      chat(node, x, { model, messages, options: { temperature: 0 } }, dialect),
    )
  })
}

async function formOf(x: Exchange): Promise<FormData> {
  const type = x.request.headers['content-type'] ?? ''
  const complain = (why: string): Fault => new Fault(400, `failed to parse multipart form: ${why}`)
  if (!type.startsWith('multipart/form-data'))
    throw complain("request Content-Type isn't multipart/form-data")
  if (!type.includes('boundary=')) throw complain('no multipart boundary param in Content-Type')
  const body = await x.body()
  try {
    return await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData()
  } catch {
    throw complain('multipart: NextPart: EOF')
  }
}

function transcriptionDialect(format: string): Dialect {
  const text = (answer: Answer): string => answer.content.trim()
  return {
    ...openaiLate,
    streams: false,
    streamType: JSON_PLAIN,
    whole: answer =>
      format === 'text'
        ? { type: 'text/plain', text: text(answer) }
        : { type: JSON_PLAIN, text: `${goJson({ text: text(answer) })}\n` },
    piece: () => '',
    broken: () => '',
  }
}
