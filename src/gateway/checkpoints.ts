/** The doors of what is signed: the newest checkpoint, the key, another key, proofs. Text, as other programs read it. */
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import type { Engine } from '../engine/engine.ts'
import type { Failure } from '../failure.ts'
import { doors, hang } from './doors.ts'
import { speakJson, whileWritable } from './writing.ts'

/** What signs. Whatever it throws or rejects with is a Failure or a Refusal. */
export interface Signing {
  readonly latest: { readonly note: string; readonly size: number } | undefined
  readonly vkey: string | undefined
  /** Why nothing is signed. */
  readonly trouble: Failure | undefined
  sign(): Promise<{ readonly note: string }>
  rotate(
    by: string,
    how: { readonly lost?: boolean },
  ): Promise<{ readonly vkey: string; readonly before: string; readonly seq: number }>
  inclusion(seq: number): Promise<string>
  consistency(old: number): Promise<string>
}

export interface CheckpointDoorsNeeds {
  readonly engine: Engine
  readonly checkpoints: Signing
}

export const checkpointDoors: FastifyPluginAsync<CheckpointDoorsNeeds> = async (app, needs) => {
  const { checkpoints, engine } = needs
  speakJson(app)
  const plain = (reply: FastifyReply, text: string): string => {
    reply.type('text/plain; charset=utf-8')
    return text
  }

  hang(app, doors.checkpoint, async ({ reply }) => {
    if (checkpoints.trouble !== undefined) throw checkpoints.trouble
    return plain(reply, (checkpoints.latest ?? (await checkpoints.sign())).note)
  })
  hang(app, doors.checkpointKey, ({ reply }) => {
    if (checkpoints.vkey === undefined) throw checkpoints.trouble
    return plain(reply, `${checkpoints.vkey}\n`)
  })
  hang(
    app,
    doors.rotateKey,
    ({ body: { lost = false }, by }) => checkpoints.rotate(by, { lost }),
    whileWritable(engine),
  )
  hang(app, doors.inclusion, async ({ params: { seq }, reply }) =>
    plain(reply, await checkpoints.inclusion(Number(seq))),
  )
  hang(app, doors.consistency, async ({ params: { size }, reply }) =>
    plain(reply, await checkpoints.consistency(Number(size))),
  )
}
