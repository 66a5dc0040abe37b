/** What docs/adr/0014-dependencies.md says of the packages that a house runs on: which they are, and who imports them. */
import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import t from 'tap'

interface Row {
  readonly packages: readonly string[]
  /** Files, and folders with a slash at their end. */
  readonly importers: readonly string[]
}

const rows: Row[] = [
  ...readFileSync('docs/adr/0014-dependencies.md', 'utf8').matchAll(/^\| (`.*) \|$/gm),
].map(([, row]) => {
  const cells = row!.split(' | ')
  return { packages: quoted(cells[0]!), importers: quoted(cells.at(-1)!) }
})

t.test('they are those of package.json', async t => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.same(rows.flatMap(({ packages }) => packages).sort(), Object.keys(dependencies).sort())
})

t.test('nobody else imports them', async t => {
  const strangers: string[] = []
  for await (const file of glob(['src/**/*.ts', 'machines/**/*.ts'])) {
    // Types are free.
    for (const [, name] of readFileSync(file, 'utf8').matchAll(
      /^import (?!type\b)[^']* from '([^.'][^']*)'$/gm,
    )) {
      const row = rows.find(({ packages }) =>
        packages.some(one => name === one || name!.startsWith(`${one}/`)),
      )
      const may = row?.importers.some(one => (one.endsWith('/') ? file.startsWith(one) : file === one))
      if (!name!.startsWith('node:') && !may) strangers.push(`${file}: ${name}`)
    }
  }
  t.same(strangers, [])
})

function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text!)
}
