// Short names for the shapes of the API. They come from its OpenAPI document: a changed contract breaks the build here.

import type { components, operations } from '@/api/schema'

type Shapes = components['schemas']

export type Model = Shapes['Model']
export type ModelPage = Shapes['ModelList']
export type ModelChange = Partial<Shapes['ModelChange']>
export type Agent = Shapes['Agent']
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
export type AuditEvent = Shapes['AuditEvent']
export type Tokens = Shapes['Tokens']
export type ProblemBody = Shapes['ProblemBody']

/** What GET /models can be asked: filters, sorting, paging. */
export type ModelQuery = NonNullable<operations['list_models']['parameters']['query']>
