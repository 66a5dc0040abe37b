/** A journal in memory, a mirror of it, and a broker that fails as it is told. */
import type { Test } from 'tap'
import { kafkaSpec } from '../../src/brokers.ts'
import { systemClock as clock } from '../../src/clock.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { JournalTopic } from '../../src/mirror/journaltopic.ts'
import { Mirror } from '../../src/mirror/mirror.ts'
import { texts, until, write } from '../journal/facts.ts'
import { FakeBroker } from './broker.ts'
import type { Message } from './wire.ts'

export const TOPIC = 'quipu.journal'

export interface Stage {
  readonly broker: FakeBroker
  readonly journal: Journal
  /** The one that runs now. */
  readonly mirror: Mirror
  /** What was logged, in order. */
  readonly log: readonly string[]
  /** Writes so many facts, in one go. */
  put(count: number): Promise<void>
  /** Until all that is durable is in the topic. */
  level(limitMs?: number): Promise<void>
  /** Stops the mirror and starts another, as a house that is started again does. */
  restart(): Promise<void>
}

export interface StageOptions {
  readonly broker?: FakeBroker
  readonly journal?: Journal
  /** Beyond brokers: `,topic=other`. */
  readonly more?: string
  readonly password?: string
  /** Something is written, or planned, before the mirror begins. */
  readonly before?: (broker: FakeBroker) => void
}

export async function stage(t: Test, options: StageOptions = {}): Promise<Stage> {
  const broker = options.broker ?? (await new FakeBroker().start())
  const journal = options.journal ?? openMemoryJournal({ clock })
  const log: string[] = []
  options.before?.(broker)
  const spec = kafkaSpec(`brokers=${broker.url}${options.more ?? ''}`)

  function begin(): Mirror {
    const topic = new JournalTopic({ spec, clock, password: () => options.password })
    const say = (_level: string, line: string): void => void log.push(line)
    const mirror = new Mirror({ journal, clock, topic, say, onBug: error => t.fail('a bug', { error }) })
    mirror.start()
    return mirror
  }

  let mirror = begin()
  t.teardown(async () => {
    await mirror.close()
    await broker.stop()
    await journal.close()
  })
  return {
    broker,
    journal,
    log,
    get mirror() {
      return mirror
    },
    put(count) {
      write(journal, count)
      return journal.flushed()
    },
    level: (limitMs = 20_000) =>
      until(
        () => mirror.status.mirrored === journal.durable && mirror.status.state === 'live',
        'the mirror is level',
        limitMs,
      ),
    async restart() {
      await mirror.close()
      mirror = begin()
    },
  }
}

/** What a consumer has that leaves out what it knows: the records of a journal, by their headers alone. */
export function deduped(messages: readonly Message[], journal: string): string[] {
  const records: string[] = []
  for (const { key, value, headers } of messages) {
    if (key === journal && Number(headers.seq) === records.length + 1) records.push(value)
  }
  return records
}

/** The topic holds each fact of the journal, for whoever leaves out doubles; says how many doubles there were. */
export async function holds(t: Test, { broker, journal }: Stage, topic = TOPIC): Promise<number> {
  const messages = broker.messages(topic).filter(({ key }) => key === journal.id)
  t.same(deduped(messages, journal.id), await texts(journal), 'each fact once, in order, as it is stored')
  return messages.length - journal.durable
}
