// The same environment as in least.bicepparam, written in another way.
using '../../../infra/main.bicep'

param environmentName = 'PROD'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
