/** The door of the mirror: how far the copy in Kafka has come. */
import type { FastifyPluginAsync } from 'fastify'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Journal } from '../journal/journal.ts'
import { doors, hang } from './doors.ts'
import type { Mirror } from './schema/journal.ts'
import type { Told } from './schema/words.ts'
import { speakJson } from './writing.ts'

export interface MirrorDoorNeeds {
  readonly clock: Clock
  readonly config: Pick<Config, 'kafka'>
  readonly journal: Journal
  /** See mirror/mirror.ts; undefined without --kafka. */
  readonly mirror: { readonly status: MirrorStatus } | undefined
}

type MirrorStatus = Omit<Told<typeof Mirror>, 'state' | 'topic' | 'brokers' | 'journal' | 'durable'> & {
  readonly state: Exclude<Told<typeof Mirror>['state'], 'off'>
}

/** Waits for nothing: what it tells of is on disk. */
export const mirrorDoor: FastifyPluginAsync<MirrorDoorNeeds> = async (app, needs) => {
  const { clock, config, journal, mirror } = needs
  const opened = clock.now()
  speakJson(app)
  hang(app, doors.mirror, () => {
    const { id, durable } = journal
    if (mirror === undefined || config.kafka === undefined) {
      const nothing = { lagFacts: 0, lagMs: 0, sent: 0, opened: 0, warnings: [] }
      return { state: 'off', since: opened, journal: id, durable, ...nothing } as const
    }
    const { topic, brokers } = config.kafka
    const { state, ...status } = mirror.status
    return { state, topic, brokers: [...brokers], journal: id, durable, ...status }
  })
}
