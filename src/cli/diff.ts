/** `quipu diff`: what is different between two moments, who changed it last, and when. */
import { type Difference, differenceOf, MOMENTS, momentText, pastOptions } from './past.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { sayTable } from './table.ts'
import { say, sayJson, tinted } from './terminal.ts'
import { jsonOption, misused, type Verb } from './verb.ts'

type Change = Difference['changes'][number]

export const diff: Verb = {
  usage: ['diff MOMENT [MOMENT]'],
  about:
    'Tells what is different between two moments (the second is now, unless told): nodes, models and who has them, ' +
    'settings and policies, each with the last fact that touched it, and who stood behind that; how requests fared, and ' +
    `how the queue grew. What changed and changed back is not different: quipu journal tells everything. ${MOMENTS}`,
  options: { ...pastOptions, ...jsonOption },
  examples: [
    ['quipu diff -1h', 'what is different from an hour ago'],
    ['quipu diff "2026-11-20 18:00" "2026-11-21 08:00"', 'what happened over night'],
  ],
  wordsMax: 2,
  async run(given) {
    const [from, to = 'now'] = given.words
    if (from === undefined) throw misused('diff needs a moment, such as 14:03 or -10m')
    const found = await differenceOf(given, from, to)
    if (given.switches.has('json')) return sayJson(found)
    sayHead(found)
    say()
    sayTable(
      found.changes,
      [
        { name: 'WHAT', cell: ({ kind }) => kind },
        { name: 'WHICH', cell: ({ id }) => id },
        {
          name: 'CHANGE',
          cell: changeText,
          tint: ({ as }) => (as === 'new' ? 'green' : as === 'gone' ? 'red' : undefined),
        },
        { name: 'WHEN', cell: ({ last }) => (last === undefined ? '-' : timeOf(last.at)) },
        { name: 'WHO', cell: ({ last, asked }) => last?.by ?? asked?.by ?? '-' },
        { name: 'FACT', cell: factText },
      ],
      'Nodes, models, settings and policies are as they were.',
    )
  },
}

function sayHead({ from, to, facts, requests, queue }: Difference): void {
  const { admitted, ...ended } = requests
  const span = durationOf(Math.max(0, (to.at ?? to.factAt) - (from.at ?? from.factAt)))
  say(tinted('bold', `from  ${momentText(from)}`))
  say(tinted('bold', `to    ${momentText(to)}`))
  say()
  say(`${countOf(facts, 'fact')} in ${span}.`)
  const fared = Object.entries(ended).flatMap(([how, count]) =>
    count > 0 ? [`${countOf(count)} ${how}`] : [],
  )
  say(`${countOf(admitted, 'request')} came; ${fared.length === 0 ? 'none ended' : fared.join(', ')}.`)
  const grew = ({ before, after }: { before: number; after: number }): string =>
    before === after ? countOf(after) : `${countOf(before)} → ${countOf(after)}`
  say(`Running ${grew(queue.running)}, waiting ${grew(queue.waiting)}.`)
}

function factText({ last, asked }: Change): string {
  if (last === undefined) return '-'
  const own = `${last.seq} ${last.type}`
  return asked === undefined ? own : `${own}, after ${asked.seq} ${asked.type}`
}

function changeText({ as, properties }: Change): string {
  if (as === 'gone') return 'gone'
  const told = properties.map(({ name, before, after }) => {
    if (as === 'new') return `${name} ${after}`
    return `${name}: ${before || 'none'} → ${after || 'none'}`
  })
  return as === 'new' ? ['new', ...told].join(', ') : told.join(', ')
}
