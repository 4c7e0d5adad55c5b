// Every choice that adds something.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param viewer = true
param corsOrigins = 'https://viewer.example.org'
param publicBaseUrl = 'https://dicom.example.org'
param alwaysReadyInstances = 2
param archiveRedundancy = 'Standard_ZRS'
param zoneRedundant = true
param keepVersions = true
param immutabilityDays = 30
param coolAfterDays = 90
param coldAfterDays = 365
param deleteLock = true
param privateNetwork = true
param inboundPrivateEndpoint = true
param alertEmail = 'operator@example.org'
param alertCapacityGiB = 10000
param alertEgressGiB = 500
param availabilityTest = true
param diagnosticLogs = 'all'
param logRetentionDays = 730
