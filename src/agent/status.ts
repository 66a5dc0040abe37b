/** What is known of the node. */
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Ollama } from '../ollama/ollama.ts'
import type { NodeStatus } from '../rpc/messages.ts'
import type { StatusTold } from './service.ts'

export interface StatusNeeds {
  readonly clock: Clock
  readonly ollama: Ollama
  readonly name: string
  readonly version: string
  readonly startedAt: number
  readonly inFlight: () => number
}

export class Status implements StatusTold {
  readonly #needs: StatusNeeds

  constructor(needs: StatusNeeds) {
    this.#needs = needs
  }

  async status(_request: { readonly fresh: boolean }, signal: AbortSignal): Promise<NodeStatus> {
    const { clock, ollama, name, version, startedAt } = this.#needs
    const identity = {
      node: name,
      agentVersion: version,
      ollamaVersion: '',
      ollamaUrl: ollama.url,
      startedAt,
    }
    try {
      const [ollamaVersion, present, resident] = await Promise.all([
        ollama.version(signal),
        ollama.tags(signal),
        ollama.ps(signal),
      ])
      return {
        at: clock.now(),
        identity: { ...identity, ollamaVersion },
        present: {
          models: present.map(({ name, digest = '', size = 0 }) => ({
            name,
            digest,
            sizeBytes: size,
            blobs: [],
          })),
        },
        resident: {
          models: resident.map(({ name, size = 0, size_vram = 0, context_length = 0, expires_at = '' }) => ({
            name,
            sizeBytes: size,
            vramBytes: size_vram,
            contextLength: context_length,
            expiresAt: Math.max(Date.parse(expires_at) || 0, 0),
          })),
        },
      }
    } catch (error) {
      if (error instanceof Failure) return { at: clock.now(), identity }
      throw error
    }
  }

  async *watch(
    { intervalMs }: { readonly intervalMs: number },
    signal: AbortSignal,
  ): AsyncGenerator<NodeStatus> {
    while (!signal.aborted) {
      yield await this.status({ fresh: false }, signal)
      await new Promise<void>(resolve => {
        const timer = this.#needs.clock.after(intervalMs, resolve)
        signal.addEventListener('abort', () => {
          timer.cancel()
          resolve()
        })
      })
    }
  }
}
