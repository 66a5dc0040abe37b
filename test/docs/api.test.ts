/** docs/api.md lists every route and every metric of the house, and no other. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Door, doors } from '../../src/gateway/doors.ts'
import { table } from '../../src/gateway/routes.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const doc = read('docs/api.md')

/** `GET /quipu` of every row of a table that begins with methods and a path. */
const rows = [...doc.matchAll(/^\| ((?:`[A-Z]+` )+)\| `(\/[^`]*)` \|/gm)].flatMap(([, methods = '', path]) =>
  [...methods.matchAll(/[A-Z]+/g)].map(([method]) => `${method} ${path}`),
)

t.test('every door of the control plane is listed, and none that is not there', async t => {
  const told = Object.values(doors).map(({ method, path }: Door) => `${method} ${path}`)
  const own = rows.filter(row => / \/(quipu|healthz|readyz|metrics)/.test(row))
  t.same(own.sort(), told.sort())
})

t.test('every route of clients is listed, with its methods and its guard', async t => {
  // Handlers are looked up when they are called, and nobody calls here.
  const routes = table({ inference: {}, ollama: {} } as Parameters<typeof table>[0])
  const clients = rows.filter(row => !/ \/(quipu|healthz|readyz|metrics)/.test(row))
  const told = routes.flatMap(({ methods, path }) => methods.map(method => `${method} ${path}`))
  t.same(clients.sort(), told.sort())
  for (const { path, guarded = false } of routes) {
    t.equal(doc.includes(`| \`${path}\` | guarded`), guarded, `${path} is ${guarded ? '' : 'not '}guarded`)
  }
})

t.test('every metric is listed, and none that is not there', async t => {
  const source = read('src/gateway/metrics.ts')
  const names = new Set([...source.matchAll(/'(quipu_\w+)'/g)].map(([, name]) => name!))
  const listed = [...doc.matchAll(/^\| `(quipu_\w+)` \|/gm)].map(([, name]) => name!)
  t.same(listed.sort(), [...names].sort())
})
