// Short names for API types, from the OpenAPI document: an incompatible change of the API breaks the build here.

import type { components, operations } from '@/generated/schema'

type Shapes = components['schemas']

export type Model = Shapes['Model']
export type ModelHashes = Shapes['ModelHashes']
export type ModelPage = Shapes['ModelList']
export type ModelUpdate = Shapes['ModelUpdate']
export type ModelVersion = Shapes['ModelVersion']
export type Agent = Shapes['Agent']
export type AgentPage = Shapes['AgentList']
export type AgentModel = Shapes['AgentModel']
export type AgentState = Shapes['AgentState']
export type ModelStates = Shapes['ModelStates']
export type Me = Shapes['Me']
export type OwnTeam = Shapes['OwnTeam']
export type Role = Shapes['Role']
export type Team = Shapes['Team']
export type Member = Shapes['Member']
export type Invitation = Shapes['Invitation']
export type InvitationPreview = Shapes['InvitationPreview']
export type Credential = Shapes['Credential']
export type KeyRequest = Shapes['NewCredential']
export type AuditEvent = Shapes['AuditEvent']
export type Tokens = Shapes['Tokens']
export type ProblemBody = Shapes['ProblemBody']

/** Query parameters of GET /models: filters, sorting, paging. */
export type ModelQuery = NonNullable<operations['list_models']['parameters']['query']>
