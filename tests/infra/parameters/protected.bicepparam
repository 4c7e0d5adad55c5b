// Nothing is lost by those who may delete.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param keepVersions = true
param softDeleteDays = 90
param immutabilityDays = 365
param deleteLock = true
