/**
 * What is said over gRPC, read from proto/ as it is: nothing is generated. Names are those of the messages (camelCase) but
 * for the journal, which keeps those of the file.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader'
import { withPieces } from './bytes.ts'

// src/rpc/ is two levels below the package, dist/src/rpc/ three.
const root = ['../../proto', '../../../proto']
  .map(up => fileURLToPath(new URL(up, import.meta.url)))
  .find(folder => existsSync(folder))!

/**
 * What is `optional`, or one of several, is there or left out, and never 0; a list or map without anything is empty. Enums
 * are the words of the file.
 */
const reading: Options = {
  includeDirs: [root],
  longs: Number,
  enums: String,
  defaults: true,
  arrays: true,
  objects: true,
}

/** A service, and the package it was read with, which reflection tells of. */
export interface Service {
  readonly name: string
  readonly methods: ServiceDefinition
  readonly package: PackageDefinition
}

export type Method = MethodDefinition<object, object>

const journalPackage = loadSync('quipu/v1/journal.proto', { ...reading, keepCase: true, oneofs: true })
const agentPackage = loadSync('quipu/v1/agent.proto', reading)

export const journalService = serviceIn(journalPackage, 'quipu.v1.Journal')
/** What an agent serves. */
export const agentService = swift(serviceIn(agentPackage, 'quipu.v1.Agent'), 'Relay')
/** What a house serves for agents. Its requests are the agent's answers. */
export const houseService = swift(serviceIn(agentPackage, 'quipu.v1.House'), 'Attach', {
  request: 6,
  response: 5,
})

/** With a method by which bodies go in pieces. */
function swift(
  service: Service,
  name: string,
  relay?: { readonly request: number; readonly response: number },
): Service {
  const method = service.methods[name] as Method
  return { ...service, methods: { ...service.methods, [name]: withPieces(method, relay) as never } }
}

function serviceIn(loaded: PackageDefinition, name: string): Service {
  return { name, methods: loaded[name] as ServiceDefinition, package: loaded }
}
