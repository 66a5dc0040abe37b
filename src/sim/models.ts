/** OpenAI's list of models. */
import { answering, Fault } from './dialect.ts'
import { type Exchange, JSON_PLAIN } from './exchange.ts'
import { goJson } from './gojson.ts'
import { show } from './library.ts'
import { displayName, parseName, parseRef } from './names.ts'
import { cloudFault, type SimNode } from './node.ts'
import { openaiLate, unixSeconds } from './v1.ts'

export function modelsRoute(node: SimNode, x: Exchange): void {
  const data = node.store.list().map(model => ({
    id: displayName(model.name),
    object: 'model',
    created: unixSeconds(model.modifiedAt),
    owned_by: model.name.namespace,
  }))
  // A nil slice in Go: an empty store has no list at all.
  x.reply(200, JSON_PLAIN, `${goJson({ object: 'list', data: data.length === 0 ? null : data })}\n`)
}

export async function modelRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, openaiLate, async () => {
    const ref = parseRef(x.param)
    if (typeof ref === 'object' && ref.source === 'cloud') {
      const { status, message, also } = cloudFault(node, 'remote model details are unavailable')
      throw new Fault(status, message, { native: true, also })
    }
    const shown = show(node, x, x.param)
    const created = unixSeconds(Date.parse(String(shown['modified_at'])))
    const model = { id: x.param, object: 'model', created, owned_by: parseName(x.param).namespace }
    x.reply(200, JSON_PLAIN, `${goJson(model)}\n`)
  })
}
