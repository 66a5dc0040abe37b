/** What a node says about itself and about ollama.com, which is out of reach here. */
import { answering, Fault, native } from './dialect.ts'
import { type Exchange, JSON_UTF8 } from './exchange.ts'
import { goJson } from './gojson.ts'
import { cloudFault, type SimNode } from './node.ts'

export function rootRoute(_: SimNode, x: Exchange): void {
  x.reply(200, 'text/plain; charset=utf-8', 'Ollama is running')
}

export function versionRoute(node: SimNode, x: Exchange): void {
  x.reply(200, JSON_UTF8, goJson({ version: node.options.version }))
}

export function statusRoute(node: SimNode, x: Exchange): void {
  const { cloud } = node.options
  x.reply(200, JSON_UTF8, goJson({ cloud: { disabled: !cloud, source: cloud ? 'none' : 'env' } }))
}

export async function meRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, native, async () => {
    throw node.options.cloud ? cloudFault(node) : new Fault(503, 'account unavailable')
  })
}

export async function signoutRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, native, async () => {
    throw node.options.cloud
      ? new Fault(401, 'you are not currently signed in')
      : new Fault(500, 'there was an error signing out')
  })
}

export const webSearchRoute = webRoute('web search is unavailable')
export const webFetchRoute = webRoute('web fetch is unavailable')

function webRoute(operation: string): (node: SimNode, x: Exchange) => Promise<void> {
  return async (node, x) => {
    const body = await x.body()
    await answering(x, native, async () => {
      if (body.toString().trim() === '') throw new Fault(400, 'missing request body')
      throw cloudFault(node, operation)
    })
  }
}

export function recommendationsRoute(_: SimNode, x: Exchange): void {
  const recommendations = [
    { model: 'glm-5.1:cloud', description: 'Elsewhere', context_length: 202_752, max_output_tokens: 131_072 },
    { model: 'gemma4', description: 'Here, medium', vram_bytes: 12_000_000_000 },
    { model: 'qwen3.5', description: 'Here, large', vram_bytes: 14_000_000_000 },
  ]
  x.reply(200, JSON_UTF8, goJson({ recommendations }))
}
