/**
 * Makes this process the release after the next: `node --import ./tomorrow.ts`. Two facts have changed their shape since,
 * one of them twice, and there is a new kind. What it reads of old journals, and what today's says to its own, is in
 * upgrade.test.ts.
 */
import { registerHooks } from 'node:module'

const ROWS = `{
  'node.registered@1': data => ({ ...data, address: data.url, url: undefined }),
  'node.registered@2': data => ({ ...data, room: data.labels?.room ?? 'nowhere' }),
  'model.found@1': data => ({ ...data, family: (data.family ?? '').toUpperCase() }),
}`

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    const changed = CHANGES[Object.keys(CHANGES).find(path => url.endsWith(path)) ?? '']
    if (changed === undefined) return loaded
    const text = String(loaded.source)
    const source = changed(text)
    if (source === text) throw new Error(`nothing changed in ${url}`)
    return { ...loaded, source }
  },
})

const CHANGES: Readonly<Record<string, (text: string) => string>> = {
  'machines/upcasts.ts': text => text.replace(/(Record<string, Upcast>> = )\{\}/, `$1${ROWS}`),
  'machines/releases.ts': text =>
    text.replace(
      "'archive.sealed'",
      "'node.registered@3': '0.5.0', 'setting.blessed': '0.5.0', 'archive.sealed'",
    ),
  'machines/setting.ts': text =>
    text
      .replace(
        "'setting.set': {",
        "'setting.blessed': { target: '.set', actions: assign({ value: '1' }) }, 'setting.set': {",
      )
      .replace('const decide', 'const blessed = () => [{ type: "setting.blessed", data: {} }]\nconst decide')
      .replace("'setting.reset': (setting", "'setting.bless': blessed, 'setting.reset': (setting"),
}
